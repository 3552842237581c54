"""Lane trials: timing of 1, 2, 4, ... lanes, the memory they may use, and the number that is chosen."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from helpers.training_cases import CPU, random_images, small_spec

from gan_bench.core.training_spec import TrainingSpec
from gan_bench.data.batch import Batch
from gan_bench.training.lanes import lane_trials
from gan_bench.training.lanes.lane_trials import Trial, choose, try_lanes


def specs(count: int) -> list[TrainingSpec]:
    return [small_spec("vanilla", seed=seed, steps=10**6) for seed in range(count)]


def images() -> Batch:
    return Batch(random_images(28), None)


@pytest.fixture(autouse=True)
def _short_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane_trials, "TRIAL_SECONDS", 0.02)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ([10, 9, 8.5], 1),  # 1.18 times as fast: not worth it
        ([10, 8, 5, 4.9], 4),  # 8 lanes are hardly faster than 4
        ([10, 6, 7], 2),
        ([10], 1),
    ],
)
def test_the_fewest_lanes_near_the_fastest_are_chosen(seconds: list[float], expected: int) -> None:
    assert choose([Trial(2**index, each, 0) for index, each in enumerate(seconds)]) == expected


def test_steps_are_timed_up_to_the_number_of_runs() -> None:
    trials = try_lanes(specs(3), images(), CPU)
    assert [trial.lanes for trial in trials] == [1, 2, 3]
    assert all(trial.seconds_per_lane > 0 for trial in trials)


@pytest.mark.parametrize(
    ("seconds", "tried"),
    [
        ([10, 14, 8.5, 8, 8.1, 8.2, 1], 6),  # slow with two, fast with eight; then twice without a gain
        ([10, 14, 8.5, 8, 8.1, 7.9], 6),
        ([10, 11, 12, 1], 3),
    ],
)
def test_trials_end_after_two_counts_without_a_gain(
    monkeypatch: pytest.MonkeyPatch, seconds: list[float], tried: int
) -> None:
    trials = {2**index: Trial(2**index, each, 0) for index, each in enumerate(seconds)}
    monkeypatch.setattr(lane_trials, "try_count", lambda members, *args: trials[len(members)])
    found = try_lanes(specs(2 ** (len(seconds) - 1)), images(), CPU)
    assert [trial.lanes for trial in found] == [2**index for index in range(tried)]


def test_the_single_run_is_timed_again_before_lanes_are_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow moment of the machine during the first trial is not taken for a gain of lanes."""
    trials = iter([Trial(1, 10.0, 0), Trial(2, 6.0, 0), Trial(4, 6.5, 0), Trial(8, 6.6, 0), Trial(1, 7.0, 0)])
    monkeypatch.setattr(lane_trials, "try_count", lambda *args: next(trials))
    found = try_lanes(specs(8), images(), CPU)
    assert [(trial.lanes, trial.seconds_per_lane) for trial in found] == [(1, 7.0), (2, 6.0), (4, 6.5), (8, 6.6)]
    assert choose(found) == 1


def test_lanes_that_exceed_free_memory_are_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    peaks = itertools.count(0, 10**6)
    monkeypatch.setattr("gan_bench.devices.memory.peak_memory", lambda device: (next(peaks), 0))
    monkeypatch.setattr("gan_bench.devices.memory.free_memory", lambda device: 1.5 * 10**6)
    assert [trial.lanes for trial in try_lanes(specs(8), images(), CPU)] == [1]


def test_free_memory_is_divided_among_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    def try_count(members: list[TrainingSpec], *args: Any) -> Trial:
        return Trial(len(members), 1 / len(members), 100)

    monkeypatch.setattr(lane_trials, "try_count", try_count)
    monkeypatch.setattr("gan_bench.devices.memory.free_memory", lambda device: 1000)
    for workers, max_lanes in ((1, 8), (2, 4), (4, 2)):
        assert try_lanes(specs(16), images(), CPU, workers=workers)[-1].lanes == max_lanes


OUT_OF_MEMORY = (
    torch.OutOfMemoryError("no memory"),
    MemoryError(),
    RuntimeError("DefaultCPUAllocator: can't allocate"),
)


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=lambda error: type(error).__name__)
def test_out_of_memory_ends_the_trials(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    real = lane_trials.try_count

    def try_count(members: list[TrainingSpec], *args: Any) -> Trial:
        if len(members) > 1:
            raise error
        return real(members, *args)

    monkeypatch.setattr(lane_trials, "try_count", try_count)
    assert [trial.lanes for trial in try_lanes(specs(4), images(), CPU)] == [1]
