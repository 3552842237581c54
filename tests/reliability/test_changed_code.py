"""Changed specs stand beside the old ones; a run gone on with by other code or another machine says so."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from whole_runs import Trial, interrupt_after

from gan_bench import environment, pipeline
from gan_bench.errors import RunError


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({}, ""),
        ({"commit": "feedbeef"}, "commit 0123abcd then feedbeef"),
        ({"torch_version": "99.0"}, "torch_version "),
        ({"device": "cuda:0"}, "on this kind of device sums have no fixed order"),
    ],
)
def test_the_record_says_what_changed_on_the_way(
    trial: Callable[..., Trial], monkeypatch: pytest.MonkeyPatch, change: dict[str, str], told: str
) -> None:
    describe = environment.describe
    monkeypatch.setattr(pipeline, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(environment, "describe", lambda device: {**describe(device), "commit": "0123abcd"})
    cut = trial()
    with pytest.raises(KeyboardInterrupt):
        cut.run(interrupt_after(3))
    monkeypatch.setattr(
        environment, "describe", lambda device: {**describe(device), "commit": "0123abcd", **change}
    )
    (record,) = cut.run()
    assert record.attempts == 2
    assert told in record.caveat
    assert bool(record.caveat) == bool(told)
    kept = json.loads((cut.folders()[0] / "environment.json").read_text())
    assert [each["attempt"] for each in [*kept["earlier_attempts"], kept]] == [1, 2]
    assert kept["from_step"] > 0


@pytest.mark.parametrize("deterministic", [True, False])
def test_a_gpu_is_promised_only_what_it_was_told_to_keep(
    trial: Callable[..., Trial], monkeypatch: pytest.MonkeyPatch, deterministic: bool
) -> None:
    describe = environment.describe
    monkeypatch.setattr(pipeline, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(environment, "describe", lambda device: {**describe(device), "device": "cuda:0"})
    monkeypatch.setattr(environment, "is_deterministic", lambda: deterministic)
    cut = trial()
    with pytest.raises(KeyboardInterrupt):
        cut.run(interrupt_after(3))
    (record,) = cut.run()
    assert ("sums have no fixed order" in record.caveat) != deterministic
    assert bool(record.caveat) != deterministic


def test_a_run_that_starts_over_owes_nothing_to_earlier_attempts(
    trial: Callable[..., Trial], monkeypatch: pytest.MonkeyPatch
) -> None:
    describe = environment.describe
    monkeypatch.setattr(pipeline, "CHECKPOINT_SECONDS", 1e9)
    monkeypatch.setattr(environment, "describe", lambda device: {**describe(device), "commit": "0123abcd"})
    cut = trial()
    with pytest.raises(KeyboardInterrupt):
        cut.run(interrupt_after(2))
    monkeypatch.setattr(environment, "describe", lambda device: {**describe(device), "commit": "feedbeef"})
    (record,) = cut.run()
    assert (record.attempts, record.caveat) == (2, "")


def test_other_values_are_other_runs_beside_the_old(trial: Callable[..., Trial]) -> None:
    first = trial()
    first.run()
    (old,) = first.folders()
    before = {path: path.read_bytes() for path in old.rglob("*") if path.is_file()}
    changes = ({"epochs": 2}, {"settings": {"width": 0.125}}, {"eval_samples": 150}, {"lrs": ((1e-3, 1e-4),)})
    for count, change in enumerate(changes, start=2):
        (record,) = trial(**change).run()
        assert (record.status, record.attempts, record.caveat) == ("done", 1, "")
        assert len(first.folders()) == count
    assert {path: path.read_bytes() for path in old.rglob("*") if path.is_file()} == before
    assert [run.record.run_id for run in first.stored()] == [folder.name for folder in first.folders()]


def test_a_spec_that_was_edited_is_not_gone_on_with(
    trial: Callable[..., Trial], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "CHECKPOINT_SECONDS", 0.0)
    cut = trial()
    with pytest.raises(KeyboardInterrupt):
        cut.run(interrupt_after(2))
    (folder,) = cut.folders()
    spec = json.loads((folder / "spec.json").read_text())
    (folder / "spec.json").write_text(json.dumps({**spec, "batch_size": 64}))
    with pytest.raises(RunError, match="not the run that the folder is named after"):
        cut.run()
    assert not (folder / "record.json").exists()
