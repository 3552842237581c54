"""The updates of D that a lazy penalty is applied to."""

from __future__ import annotations

import pytest

from gan_bench.training.penalty_schedule import PenaltySchedule


def test_every_interval_th_update_of_d_has_the_penalty():
    schedule = PenaltySchedule(3, 2)
    updates = [each for step in range(6) for each in schedule.at(step)]
    assert updates == [update % 3 == 0 for update in range(12)]


def test_without_a_penalty_no_update_has_it():
    schedule = PenaltySchedule(None, 2)
    assert schedule.patterns() == [schedule.at(5)] == [(False, False)]


@pytest.mark.parametrize("interval", [1, 2, 3, 4, 5, 6, 16])
@pytest.mark.parametrize("d_steps", [1, 2, 3, 4, 5])
def test_patterns_are_those_that_occur(interval, d_steps):
    schedule = PenaltySchedule(interval, d_steps)
    patterns = schedule.patterns()
    assert len(set(patterns)) == len(patterns)
    assert set(patterns) == {schedule.at(step) for step in range(interval * d_steps)}
