"""--lanes auto: what is tried, what is chosen, and what is kept to."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent / "training"))
from training_cases import CPU, random_images, small_spec

from gan_bench import lane_choice
from gan_bench.training.lane_count import Trial, choose, try_lanes


class Begun:
    """A store in which some runs have a checkpoint."""

    def __init__(self, lanes: dict[int, int]) -> None:
        self.lanes = lanes

    def lanes_begun(self, spec):
        return self.lanes.get(spec.seed)


def specs(count: int, **changes) -> list:
    return [small_spec("vanilla", seed=seed, steps=10**6, **changes) for seed in range(count)]


def fit(members, begun=None, jobs=1):
    told, asked = [], []

    class Here:
        device = "cpu"

        def images(self, spec, notify):
            asked.append(spec)
            return random_images(28)

    lanes = lane_choice.choose_lanes(members, Here(), Begun(begun or {}), jobs, told.append)
    return lanes, told, asked


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ([10, 9, 8.5], 1),  # 1.18 times as fast: not worth it
        ([10, 8, 5, 4.9], 4),  # 8 lanes are hardly faster than 4
        ([10, 6, 7], 2),
        ([10], 1),
    ],
)
def test_the_fewest_lanes_that_are_about_as_fast_as_any_are_chosen(seconds, expected):
    assert choose([Trial(2**index, each, 0) for index, each in enumerate(seconds)]) == expected


def test_real_steps_are_timed_up_to_all_the_runs():
    trials = try_lanes(specs(3), random_images(28), CPU)
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
def test_a_count_that_gains_nothing_is_looked_beyond_once(monkeypatch, seconds, tried):
    from gan_bench.training import lane_count

    turns = {2**index: Trial(2**index, each, 0) for index, each in enumerate(seconds)}
    monkeypatch.setattr(lane_count, "try_count", lambda members, *args: turns[len(members)])
    trials = try_lanes(specs(2 ** (len(seconds) - 1)), random_images(28), CPU)
    assert [trial.lanes for trial in trials] == [2**index for index in range(tried)]


def test_a_slow_moment_at_the_single_runs_turn_is_no_gain_of_lanes(monkeypatch):
    from gan_bench.training import lane_count

    turns = iter([Trial(1, 10.0, 0), Trial(2, 6.0, 0), Trial(4, 6.5, 0), Trial(8, 6.6, 0), Trial(1, 7.0, 0)])
    monkeypatch.setattr(lane_count, "try_count", lambda *args: next(turns))
    trials = try_lanes(specs(8), random_images(28), CPU)
    assert [(trial.lanes, trial.seconds_per_lane) for trial in trials] == [(1, 7.0), (2, 6.0), (4, 6.5), (8, 6.6)]
    assert choose(trials) == 1


def test_no_more_lanes_than_memory_holds(monkeypatch):
    peaks = itertools.count(0, 10**6)
    monkeypatch.setattr("gan_bench.environment.peak_memory", lambda device: (next(peaks), 0))
    monkeypatch.setattr("gan_bench.environment.free_memory", lambda device: 1.5 * 10**6)
    assert [trial.lanes for trial in try_lanes(specs(8), random_images(28), CPU)] == [1]


def test_every_worker_has_its_part_of_the_memory(monkeypatch):
    from gan_bench.training import lane_count

    monkeypatch.setattr(lane_count, "try_count", lambda members, *args: Trial(len(members), 1 / len(members), 100))
    monkeypatch.setattr("gan_bench.environment.free_memory", lambda device: 1000)
    for workers, most in ((1, 8), (2, 4), (4, 2)):
        assert try_lanes(specs(16), random_images(28), CPU, workers=workers)[-1].lanes == most


LACKS = (torch.OutOfMemoryError("no memory"), MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate"))


@pytest.mark.parametrize("error", LACKS, ids=lambda error: type(error).__name__)
def test_lack_of_memory_ends_the_trials(monkeypatch, error):
    from gan_bench.training import lane_count

    real = lane_count.try_count

    def short(members, *args):
        if len(members) > 1:
            raise error
        return real(members, *args)

    monkeypatch.setattr(lane_count, "try_count", short)
    assert [trial.lanes for trial in try_lanes(specs(4), random_images(28), CPU)] == [1]


def test_a_trial_that_fails_leaves_runs_apart_and_is_told(monkeypatch):
    """A model that can't be trained is a failed run with its reason, later; never the end of the command."""

    def fails(*args):
        raise ValueError("a net that can't be trained\nand more")

    monkeypatch.setattr("gan_bench.training.lane_count.try_lanes", fails)
    members = specs(4)
    lanes, told, _ = fit(members)
    assert lanes == {members[0].group_key: 1}
    assert told == [
        "vanilla: runs are trained one after the other (a trial failed: a net that can't be trained); "
        "--lanes N decides otherwise"
    ]


def test_what_was_measured_is_chosen_and_told(monkeypatch):
    trials = [Trial(1, 10e-3, 0), Trial(2, 6e-3, 0), Trial(4, 5e-3, 0)]
    monkeypatch.setattr("gan_bench.training.lane_count.try_lanes", lambda *args: trials)
    members = specs(4)
    lanes, told, asked = fit(members)
    assert lanes == {members[0].group_key: 4}
    assert told == [
        "vanilla: 4 runs are trained together (a step of one of them takes 10 ms with 1, 6 ms with 2, 5 ms with "
        "4); --lanes N decides otherwise"
    ]
    assert asked == members[:1]


@pytest.mark.parametrize(
    ("members", "jobs"), [(specs(1), 1), (specs(4), 4), ([small_spec("vanilla", seed=s) for s in (0, 1)], 1)]
)
def test_nothing_is_tried_where_nothing_is_to_be_gained(members, jobs):
    """One run, a worker for each, or runs that are over in a moment."""
    lanes, told, asked = fit(members, jobs=jobs)
    assert set(lanes.values()) == {1}
    assert asked == []
    short = "vanilla: runs are trained one after the other (they are too short for a trial of more)"
    assert told == ([f"{short}; --lanes N decides otherwise"] if len(members) == 2 else [])


def test_runs_that_were_begun_keep_their_lanes():
    members = specs(4)
    lanes, told, asked = fit(members, begun={2: 3})
    assert lanes == {members[0].group_key: 3}
    assert told == ["vanilla: 3 runs are trained together (as they were begun); --lanes N decides otherwise"]
    assert asked == []
