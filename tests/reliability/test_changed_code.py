"""A run that other code, another machine or a GPU goes on with says so in its record."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from whole_runs import Trial, interrupt_after

from gan_bench import environment, pipeline


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
