"""Changed specs are runs beside the old ones; a run resumed by other code or on another machine has a caveat."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from helpers.whole_runs import Trial, interrupt_after

from gan_bench.core.errors import RunError
from gan_bench.devices import numerics
from gan_bench.runner import environment, group_training

Make = Callable[..., Trial]
CAVEAT = "Resumed at step 12; not guaranteed to be bit-identical: "


def change_environment(monkeypatch: pytest.MonkeyPatch, **changes: Any) -> None:
    """Let attempts from now on record another environment."""
    describe = environment.describe

    def changed(*given: Any) -> dict[str, Any]:
        return {**describe(*given), **changes}

    monkeypatch.setattr(environment, "describe", changed)


@pytest.fixture
def save_always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write a checkpoint after every epoch, however short."""
    monkeypatch.setattr(group_training, "CHECKPOINT_SECONDS", 0.0)


@pytest.mark.usefixtures("save_always")
@pytest.mark.parametrize(
    ("change", "caveat"),
    [
        ({}, ""),
        ({"commit": "feedbeef"}, "commit 0123abcd then feedbeef"),
        ({"torch_version": "99.0"}, "torch_version "),
        ({"instruction_set": "OTHER"}, "instruction_set "),
        ({"blas": "OpenBLAS 0"}, "blas "),
        ({"numeric_settings": "MKL_CBWR=COMPATIBLE"}, "numeric_settings "),
        ({"model_code": "feedbeef0123"}, "model_code 0123abcd then feedbeef0123"),
        ({"cpu_kernels": "other"}, "cpu_kernels "),
        ({"device": "cuda:0"}, "GPU kernels without --deterministic"),
    ],
)
def test_the_record_has_a_caveat_for_what_changed_between_attempts(
    trial: Make, monkeypatch: pytest.MonkeyPatch, change: dict[str, str], caveat: str
) -> None:
    change_environment(monkeypatch, commit="0123abcd", model_code="0123abcd")
    interrupted = trial()
    with pytest.raises(KeyboardInterrupt):
        interrupted.run(interrupt_after(3))
    change_environment(monkeypatch, **change)
    (record,) = interrupted.run()
    assert record.attempts == 2
    assert record.caveat.startswith(CAVEAT if caveat else "")
    assert caveat in record.caveat
    assert bool(record.caveat) == bool(caveat)
    kept = json.loads((interrupted.folders()[0] / "environment.json").read_text())
    assert [each["attempt"] for each in [*kept["earlier_attempts"], kept]] == [1, 2]
    assert kept["from_step"] == 12


@pytest.mark.usefixtures("save_always")
def test_eval_every_changes_no_training_and_needs_no_caveat(trial: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    change_environment(monkeypatch, commit="0123abcd")
    with pytest.raises(KeyboardInterrupt):
        trial().run(interrupt_after(3))
    (record,) = trial(eval_every=2).run()
    assert (record.attempts, record.caveat) == (2, "")


@pytest.mark.usefixtures("save_always")
def test_other_plugin_files_that_a_run_does_not_use_need_no_caveat(
    trial: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    change_environment(monkeypatch, commit="0123abcd")
    interrupted = trial()
    with pytest.raises(KeyboardInterrupt):
        interrupted.run(interrupt_after(3))
    change_environment(monkeypatch, plugins=["plot.py"])
    (record,) = interrupted.run()
    assert (record.attempts, record.caveat) == (2, "")


@pytest.mark.usefixtures("save_always")
@pytest.mark.parametrize("deterministic", [True, False])
def test_a_resumed_run_on_a_gpu_has_a_caveat_unless_deterministic(
    trial: Make, monkeypatch: pytest.MonkeyPatch, deterministic: bool
) -> None:
    change_environment(monkeypatch, device="cuda:0", deterministic=deterministic)
    monkeypatch.setattr(numerics, "is_deterministic", lambda: deterministic)
    interrupted = trial()
    with pytest.raises(KeyboardInterrupt):
        interrupted.run(interrupt_after(3))
    (record,) = interrupted.run()
    assert record.caveat == ("" if deterministic else f"{CAVEAT}GPU kernels without --deterministic")


def test_a_run_that_starts_over_has_no_caveat(trial: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_training, "CHECKPOINT_SECONDS", 1e9)
    change_environment(monkeypatch, commit="0123abcd")
    interrupted = trial()
    with pytest.raises(KeyboardInterrupt):
        interrupted.run(interrupt_after(2))
    change_environment(monkeypatch, commit="feedbeef")
    (record,) = interrupted.run()
    assert (record.attempts, record.caveat) == (2, "")


def test_other_training_values_are_other_runs_beside_the_old(trial: Make) -> None:
    first = trial()
    first.run()
    (old,) = first.folders()
    before = {path: path.read_bytes() for path in old.rglob("*") if path.is_file()}
    changes = ({"epochs": 2}, {"settings": {"width": 0.125}}, {"batch_size": 64}, {"lrs": ((1e-3, 1e-4),)})
    for count, change in enumerate(changes, start=2):
        (record,) = trial(**change).run()
        assert (record.status, record.attempts, record.caveat) == ("done", 1, "")
        assert len(first.folders()) == count
    assert {path: path.read_bytes() for path in old.rglob("*") if path.is_file()} == before
    assert [run.record.run_id for run in first.stored()] == [folder.name for folder in first.folders()]


@pytest.mark.usefixtures("save_always")
def test_a_run_whose_spec_was_edited_is_not_resumed(trial: Make) -> None:
    interrupted = trial()
    with pytest.raises(KeyboardInterrupt):
        interrupted.run(interrupt_after(2))
    (folder,) = interrupted.folders()
    spec = json.loads((folder / "spec.json").read_text())
    (folder / "spec.json").write_text(json.dumps({**spec, "batch_size": 64}))
    with pytest.raises(RunError, match=r"not the run the folder is named after|contains another run's spec"):
        interrupted.run()
    assert not (folder / "record.json").exists()
