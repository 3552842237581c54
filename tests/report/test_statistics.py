"""Statistics against known values and properties."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gan_bench.report.statistics import Better, compare, estimate, with_diverged

values = st.lists(st.floats(-1e3, 1e3, allow_subnormal=False), min_size=2, max_size=12)


def test_estimate_of_known_values() -> None:
    found = estimate([1.0, 2.0, 3.0, 4.0, 100.0, 5.0, 6.0, 7.0])
    assert found.n == 8
    assert found.mean == pytest.approx(16.0)
    assert found.median == pytest.approx(4.5)
    assert found.iqm == pytest.approx(4.5), "the middle half is 3, 4, 5, 6"
    assert found.std == pytest.approx(np.std([1, 2, 3, 4, 100, 5, 6, 7], ddof=1))


def test_estimate_of_one_training_has_no_interval_and_no_std() -> None:
    found = estimate([7.0])
    assert found.mean == 7.0
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    assert math.isnan(found.std)


def test_estimate_without_scores_is_nan() -> None:
    assert estimate([]).n == 0
    assert math.isnan(estimate([]).mean)


@pytest.mark.parametrize(("n", "rough"), [(3, True), (4, True), (5, False)])
def test_interval_over_fewer_than_five_trainings_is_rough(n: int, rough: bool) -> None:
    assert estimate(list(range(n))).rough is rough


def test_nonfinite_scores_are_ignored() -> None:
    assert estimate([1.0, math.nan, math.inf, 3.0]).n == 2


@settings(max_examples=40, deadline=None)
@given(values)
def test_interval_contains_mean_and_lies_within_the_values(x: list[float]) -> None:
    found = estimate(x)
    slack = 1e-9 * max(1.0, max(map(abs, x)))
    assert min(x) - slack <= found.low <= found.mean + slack
    assert found.mean - slack <= found.high <= max(x) + slack


@settings(max_examples=25, deadline=None)
@given(values, values)
def test_compare_is_antisymmetric(a: list[float], b: list[float]) -> None:
    ab, ba = compare(a, b, "lower"), compare(b, a, "lower")
    assert ab.gain == pytest.approx(-ba.gain)
    assert ab.probability == pytest.approx(1 - ba.probability)
    assert compare(a, b, "higher").gain == pytest.approx(ba.gain)


def test_interval_over_30_trainings_has_its_nominal_coverage() -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for index in range(200):
        found = estimate(rng.normal(5, 1, 30), seed=index)
        hits += found.low <= 5 <= found.high
    assert 0.88 <= hits / 200 <= 0.99


def test_direction_of_the_metric_decides_which_group_is_better() -> None:
    assert compare([1, 2, 3, 2, 1], [11, 12, 13, 12, 11], "lower").gain == pytest.approx(10)
    assert compare([1, 2, 3, 2, 1], [11, 12, 13, 12, 11], "lower").certainty == "clear"
    assert compare([1, 2, 3, 2, 1], [11, 12, 13, 12, 11], "higher").probability == 0


def test_exact_permutation_p_of_three_against_three() -> None:
    found = compare([1, 2, 3], [11, 12, 13], "lower")
    assert found.p_value == pytest.approx(0.1)
    assert found.smallest_p == pytest.approx(0.1)
    assert found.certainty == "likely", "three against three cannot reach 5%"


def test_one_training_gives_no_claim() -> None:
    found = compare([1.0], [50.0, 51.0, 52.0], "lower")
    assert found.certainty == "no claim"
    assert math.isnan(found.low)
    assert math.isnan(found.p_value)


def test_a_diverged_training_ranks_below_every_other() -> None:
    without = compare([1, 2, 3], [4, 5, 6], "lower")
    half = compare([1, 2, 3], [4, 5, 6], "lower", diverged_a=3)
    assert without.probability == 1.0
    assert half.probability == pytest.approx(0.5)
    assert half.certainty == "unclear", "the scored trainings are better, but half of the trainings diverged"
    assert compare([1, 2, 3], [4, 5, 6], "lower", diverged_b=1).probability == 1.0


@pytest.mark.parametrize(
    ("a", "diverged_a", "b", "p"),
    [
        ([51.0, 51.1, 51.2, 51.3, 51.4], 3, [56 + 0.1 * k for k in range(8)], 0.44),
        ([51.0, 51.1], 1, [56.0, 56.1, 56.2], 0.7),
        ([51.0, 51.1], 0, [56.0, 56.1], 0.33),
    ],
)
def test_a_difference_without_a_small_p_value_is_unclear(
    a: list[float], diverged_a: int, b: list[float], p: float
) -> None:
    found = compare(a, b, "lower", diverged_a=diverged_a)
    assert found.p_value == pytest.approx(p, abs=0.02)
    assert found.low > 0, "the interval over scored trainings alone favors a"
    assert found.probability > 0.5
    assert found.certainty == "unclear"


def test_a_median_that_favors_the_other_group_makes_a_difference_unclear() -> None:
    a, b = [4, 4, 5, 20, 20] * 8, [1, 1, 6, 6, 6] * 8
    found = compare(b, a, "lower")
    assert found.low > 0
    assert found.probability > 0.5
    assert found.p_value <= 0.1
    assert found.certainty == "unclear", "b has the better mean, a the better median"


@pytest.mark.parametrize("better", ["lower", "higher"])
def test_diverged_trainings_are_the_worst_in_either_direction(better: Better) -> None:
    found = with_diverged([1.0, 2.0], better, 1)
    assert min(found) == -np.inf
    assert len(found) == 3


def test_equal_groups_are_unclear() -> None:
    assert compare([5, 5, 5], [5, 5, 5], "lower").certainty == "unclear"
    assert compare([1, 5, 9, 3], [2, 6, 8, 4], "lower").certainty == "unclear"


def test_statistics_are_deterministic() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=20), rng.normal(size=20)
    assert compare(a, b, "lower") == compare(a, b, "lower")
    assert estimate(a) == estimate(a)
