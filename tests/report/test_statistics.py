"""Estimates and intervals: known values, properties, and coverage by simulation."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from gan_bench.report.statistics import difference_interval, estimate, mean_interval, scale_of

values = st.lists(st.floats(-1e3, 1e3, allow_subnormal=False), min_size=3, max_size=12)


def test_estimate_of_known_values() -> None:
    found = estimate([1.0, 2.0, 3.0, 4.0, 100.0, 5.0, 6.0, 7.0])
    assert found.n == 8
    assert found.mean == pytest.approx(16.0)
    assert found.median == pytest.approx(4.5)
    assert found.iqm == pytest.approx(4.5), "the middle half is 3, 4, 5, 6"
    assert found.std == pytest.approx(np.std([1, 2, 3, 4, 100, 5, 6, 7], ddof=1))


@pytest.mark.parametrize("n", [1, 2])
def test_fewer_than_three_trainings_have_no_interval(n: int) -> None:
    found = estimate([7.0, 9.0][:n])
    assert found.mean == pytest.approx(7.0 if n == 1 else 8.0)
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    assert math.isnan(found.std) is (n == 1)


def test_estimate_without_scores_is_nan() -> None:
    assert estimate([]).n == 0
    assert math.isnan(estimate([]).mean)


def test_nonfinite_scores_are_ignored() -> None:
    assert estimate([1.0, math.nan, math.inf, 3.0]).n == 2


@settings(max_examples=40, deadline=None)
@given(values)
def test_plain_interval_is_students(x: list[float]) -> None:
    found = estimate(x)
    if np.std(x) == 0:
        assert found.low == found.high == pytest.approx(x[0])
        return
    low, high = stats.t.interval(0.95, len(x) - 1, np.mean(x), stats.sem(x))
    assert (found.low, found.high) == pytest.approx((low, high), rel=1e-9, abs=1e-9)


def test_plain_difference_is_welchs() -> None:
    a, b = np.array([3.0, 4.0, 6.0, 7.0]), np.array([1.0, 1.5, 4.0])
    expected = stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.95)
    assert difference_interval(a, b, "plain") == pytest.approx((expected.low, expected.high), rel=1e-6)


def test_fid_is_on_a_log_scale_unless_a_value_is_zero() -> None:
    assert (scale_of("fid"), scale_of("kid_mean")) == ("log", "plain")
    assert estimate([10.0, 12.0, 30.0], "log").low > 0
    assert estimate([0.0, 12.0, 30.0], "log") == estimate([0.0, 12.0, 30.0])


@pytest.mark.parametrize("n", [3, 5, 10])
@pytest.mark.parametrize("sigma", [0.1, 0.6])
def test_intervals_cover_92_to_97_percent(n: int, sigma: float) -> None:
    """Of log-normal scores, for one mean; a difference of two is covered at least as often."""
    rng = np.random.default_rng(0)
    mean = math.exp(sigma**2 / 2)
    samples = np.exp(rng.normal(0, sigma, (1500, 2, n)))
    intervals = [mean_interval(first, "log") for first, _ in samples]
    assert 0.92 <= np.mean([low <= mean <= high for low, high in intervals]) <= 0.97
    differences = [difference_interval(first, second, "log") for first, second in samples]
    assert 0.94 <= np.mean([low <= 0 <= high for low, high in differences]) <= 0.985


def test_a_choice_of_rates_widens_the_interval() -> None:
    x = np.array([10.0, 11.0, 13.0])
    low, high = mean_interval(x, "plain")
    wide_low, wide_high = mean_interval(x, "plain", contenders=3)
    assert wide_low < low < high < wide_high


def test_statistics_are_deterministic() -> None:
    a = np.random.default_rng(1).normal(size=20)
    assert estimate(a) == estimate(a)
