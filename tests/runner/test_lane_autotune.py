"""`--lanes auto`: where lanes are tried, which number is chosen, and when an earlier one is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from helpers.events import notices_into
from helpers.training_cases import small_spec

from gan_bench.core.errors import InputError
from gan_bench.core.training_spec import TrainingSpec
from gan_bench.runner import lane_autotune
from gan_bench.training.lanes.lane_trials import Trial

TRIALS = "gan_bench.training.lanes.lane_trials.try_lanes"


def specs(count: int, **changes: Any) -> list[TrainingSpec]:
    return [small_spec("vanilla", seed=seed, **{"steps": 10**6, **changes}) for seed in range(count)]


class Choice:
    """Calls `choose_lanes` with a faked device and a store where some runs have a checkpoint."""

    def __init__(
        self,
        members: Sequence[TrainingSpec],
        *,
        device: str = "cuda",
        started: Mapping[int, int] | None = None,
        jobs: int = 1,
    ) -> None:
        self.notices: list[str] = []
        self.loaded: list[TrainingSpec] = []
        context: Any = SimpleNamespace(device=torch.device(device), training_set=self._load)
        store: Any = SimpleNamespace(started_lanes=lambda spec: (started or {}).get(spec.seed))
        self.lanes = lane_autotune.choose_lanes(members, context, store, jobs, notices_into(self.notices))

    def _load(self, spec: TrainingSpec, on_event: object) -> object:
        self.loaded.append(spec)
        return object()


@pytest.fixture(autouse=True)
def _no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gan_bench.devices.memory.release_memory", lambda device: None)


@pytest.mark.parametrize("started", [{}, {0: 3}])
def test_on_a_cpu_one_lane_is_used_without_a_trial(started: dict[int, int]) -> None:
    members = specs(4)
    choice = Choice(members, device="cpu", started=started)
    assert choice.lanes == {members[0].group_key: started.get(0, 1)}
    assert (choice.loaded, choice.notices) == ([], [])


def test_a_failed_trial_means_one_lane_and_a_notice(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that can't be trained gets a failure record of its own later; it doesn't end the command."""

    def fail(*args: object) -> None:
        raise ValueError("a net that can't be trained\nand more")

    monkeypatch.setattr(TRIALS, fail)
    members = specs(4)
    choice = Choice(members)
    assert choice.lanes == {members[0].group_key: 1}
    assert choice.notices == [
        "vanilla: training runs one after another (a trial failed: a net that can't be trained); "
        "--lanes N overrides this"
    ]


def test_invalid_input_in_a_trial_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> None:
        raise InputError("--device cuda: no")

    monkeypatch.setattr(TRIALS, refuse)
    with pytest.raises(InputError, match="--device cuda: no"):
        Choice(specs(4))


def test_the_measured_choice_is_announced(monkeypatch: pytest.MonkeyPatch) -> None:
    trials = [Trial(1, 10e-3, 0), Trial(2, 6e-3, 0), Trial(4, 5e-3, 0)]
    monkeypatch.setattr(TRIALS, lambda *args: trials)
    members = specs(4)
    choice = Choice(members)
    assert choice.lanes == {members[0].group_key: 4}
    assert choice.notices == [
        "vanilla: training 4 runs together (time per step and lane: 10 ms with 1, 6 ms with 2, 5 ms with 4); "
        "--lanes N overrides this"
    ]
    assert choice.loaded == members[:1]


def test_each_program_has_its_own_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []

    def record(members: Sequence[TrainingSpec], *args: object) -> list[Trial]:
        tried.append(len(members))
        return [Trial(1, 1.0, 0)]

    monkeypatch.setattr(TRIALS, record)
    choice = Choice([*specs(4), *specs(3, batch_size=16)], jobs=2)
    assert tried == [2, 2], "a worker gets at most its share of the runs"
    assert len(choice.lanes) == len(choice.notices) == 2


@pytest.mark.parametrize(
    ("members", "jobs"),
    [(specs(1), 1), (specs(4), 4), (specs(2, steps=20), 1)],
    ids=["one", "a job each", "short"],
)
def test_no_trial_where_lanes_gain_nothing(members: list[TrainingSpec], jobs: int) -> None:
    """One run, a worker process for each run, or runs that take less than a trial."""
    choice = Choice(members, jobs=jobs)
    assert set(choice.lanes.values()) == {1}
    assert choice.loaded == []
    short = "vanilla: training runs one after another (too short for a trial); --lanes N overrides this"
    assert choice.notices == ([short] if len(members) == 2 else [])


def test_started_runs_keep_their_number_of_lanes() -> None:
    members = specs(4)
    choice = Choice(members, started={2: 3})
    assert choice.lanes == {members[0].group_key: 3}
    assert (choice.loaded, choice.notices) == ([], [])
