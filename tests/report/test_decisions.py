"""Decisions between models: known p-values, lost trainings, and error rates by simulation."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from gan_bench.report.decisions import Group, compare, compare_first, holm, with_lost
from gan_bench.report.statistics import Better

values = st.lists(st.floats(-1e3, 1e3, allow_subnormal=False), min_size=4, max_size=12)


@settings(max_examples=25, deadline=None)
@given(values, values)
def test_compare_is_antisymmetric(a: list[float], b: list[float]) -> None:
    ab, ba = compare(a, b, "lower"), compare(b, a, "lower")
    assert ab.gain == pytest.approx(-ba.gain)
    assert ab.probability == pytest.approx(1 - ba.probability)
    assert ab.p_value == pytest.approx(ba.p_value)
    assert compare(a, b, "higher").gain == pytest.approx(ba.gain)


def test_direction_of_the_metric_decides_which_group_is_better() -> None:
    a, b = [1, 2, 3, 2, 1], [11, 12, 13, 12, 11]
    assert compare(a, b, "lower").gain == pytest.approx(10)
    assert compare(a, b, "lower").certainty == "clear"
    assert compare(a, b, "higher").probability == 0


def test_p_value_is_the_larger_one_of_ranks_and_means() -> None:
    a, b = [1.0, 2.0, 3.0, 9.0], [4.0, 11.0, 12.0, 13.0, 14.0]
    ranks = stats.mannwhitneyu(a, b, method="exact").pvalue
    found = compare(a, b, "lower")
    assert found.p_value >= ranks - 1e-12
    assert compare([1, 2, 3, 4], [101, 102, 103, 104], "lower").p_value == pytest.approx(2 / 70), "ranks alone"


@pytest.mark.parametrize("n", [2, 3])
def test_two_or_three_seeds_are_too_few_whatever_the_difference(n: int) -> None:
    found = compare([671.0, 672.0, 673.0][:n], [2677.0, 2678.0, 2679.0][:n], "lower")
    assert found.certainty == "too few"
    assert found.too_few == f"too few seeds ({n} each; 4 needed)"
    assert math.isnan(found.p_value)
    assert math.isnan(found.probability)
    assert found.smallest_p > 0.05


def test_a_table_of_more_models_needs_more_seeds() -> None:
    groups = [Group(np.arange(4.0) + 100 * k) for k in range(5)]
    found = compare_first(groups, "lower", "plain")
    assert {each.certainty for each in found} == {"too few"}
    assert found[0].needed > 4


def test_one_training_gives_no_probability() -> None:
    found = compare([1.0], [50.0, 51.0, 52.0], "lower")
    assert found.certainty == "too few"
    assert found.too_few == "too few seeds (1 against 3; 4 each needed)"
    assert math.isnan(found.low)
    assert math.isnan(found.probability)


def test_a_lost_training_ranks_below_every_other() -> None:
    a, b = [1, 2, 3, 4], [14, 15, 16, 17]
    assert compare(a, b, "lower").probability == 1.0
    half = compare(a, b, "lower", lost_a=4)
    assert half.probability == pytest.approx(0.5)
    assert half.certainty == "unclear", "the scored trainings are better, but half of the trainings are lost"
    assert compare(a, b, "lower", lost_b=1).certainty == "clear"


def test_losing_trainings_is_a_difference() -> None:
    found = compare([5.0, 5.1, 5.2, 5.3, 5.4, 5.5], [5.05], "lower", lost_b=5)
    assert found.probability > 0.5
    assert found.p_value < 0.1


def test_a_median_that_favors_the_other_group_makes_a_difference_unclear() -> None:
    a, b = [4, 4, 5, 20, 20] * 8, [1, 1, 6, 6, 6] * 8
    assert compare(b, a, "lower").certainty == "unclear", "b has the better mean, a the better median"


@pytest.mark.parametrize("better", ["lower", "higher"])
def test_lost_trainings_are_the_worst_in_either_direction(better: Better) -> None:
    found = with_lost([1.0, 2.0], better, 1)
    assert min(found) == -np.inf
    assert len(found) == 3


def test_equal_groups_are_unclear() -> None:
    assert compare([5, 5, 5, 5], [5, 5, 5, 5], "lower").certainty == "unclear"
    assert compare([1, 5, 9, 3], [2, 6, 8, 4], "lower").certainty == "unclear"


def test_holm_multiplies_the_smallest_p_value_by_the_number_of_pairs() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([math.nan, 0.02]) == pytest.approx([1.0, 0.04])


NULLS = {
    "normal, 4 seeds": lambda rng: [Group(rng.normal(50, 5, 4)) for _ in range(2)],
    "five models": lambda rng: [Group(rng.normal(50, 5, 7)) for _ in range(5)],
    "unequal variances": lambda rng: [Group(rng.normal(50, spread, 5)) for spread in (1, 6)],
    "heavy tails": lambda rng: [Group(50 + 3 * rng.standard_t(3, 8)) for _ in range(3)],
    "one diverged": lambda rng: [Group(rng.normal(50, 5, 5 - lost), lost) for lost in (1, 0)],
}


@pytest.mark.parametrize("name", NULLS)
def test_equal_models_are_called_different_at_most_5_percent_of_the_time(name: str) -> None:
    rng = np.random.default_rng(0)
    tables = [compare_first(NULLS[name](rng), "lower", "log") for _ in range(300)]
    found = sum(any(each.certainty == "clear" for each in table) for table in tables)
    assert found / 300 <= 0.05 + 0.015, "0.015: simulation error"


def test_power_and_seeds_to_confirm_agree_with_simulation() -> None:
    """About 80% of comparisons find the detectable difference."""
    rng = np.random.default_rng(0)
    detectable = np.median([compare(*rng.normal(50, 5, (2, 6)), "lower").detectable for _ in range(100)])
    found = [
        compare(rng.normal(50, 5, 6), rng.normal(50 + detectable, 5, 6), "lower").certainty for _ in range(200)
    ]
    assert 0.65 <= found.count("clear") / 200 <= 0.95
    few = compare([50, 55, 60, 52], [53, 58, 61, 55], "lower")
    assert few.seeds_to_confirm > few.n_a
