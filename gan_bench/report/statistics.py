"""Statistics over a few trainings: estimates with intervals, and comparisons of two groups.

The unit is one training (a seed), never one evaluation or one generation draw. After arXiv 2108.13264.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Array: TypeAlias = NDArray[np.float64]
Better: TypeAlias = Literal["lower", "higher"]
Certainty: TypeAlias = Literal["clear", "likely", "unclear", "no claim"]

ROUGH_BELOW = 5
"""Intervals over fewer trainings are rough: the bootstrap resamples only the observed values."""
CONFIDENCE = 0.95
LIKELY_P = 0.1
"""The largest p-value of a likely difference; three trainings against three can just reach it."""
RESAMPLES = 2000
PERMUTATIONS = 9999


@dataclass(frozen=True)
class Estimate:
    """Statistics of a score over n trainings; NaN where n is too small. `low` and `high` bound the mean."""

    n: int
    mean: float
    std: float
    median: float
    iqm: float
    low: float
    high: float

    @property
    def rough(self) -> bool:
        """Whether the interval is over so few trainings that it is only a rough guide."""
        return self.n < ROUGH_BELOW


@dataclass(frozen=True)
class Difference:
    """Difference between the trainings of A and of B; `gain` is above 0 where A is better, in the score's unit."""

    n_a: int
    n_b: int
    gain: float
    low: float
    high: float
    probability: float
    """Probability of improvement: of one training of A over one of B. A diverged training is the worst of all."""
    p_value: float
    """Two-sided permutation test on ranks."""
    smallest_p: float
    """The smallest possible p-value for these numbers of trainings."""
    certainty: Certainty
    """clear: the interval excludes 0 and p < 0.05; likely: it does, and p <= 0.1; no claim: too few trainings.

    Unclear also where mean, ranks and median do not all favor the same side.
    """


def finite(values: Sequence[float] | Array) -> Array:
    """Return the finite ones of `values` as float64 [N]."""
    array = np.asarray(values, dtype=np.float64)
    return array[np.isfinite(array)]


def estimate(values: Sequence[float] | Array, seed: int = 0) -> Estimate:
    """Return mean, std (ddof 1), median, interquartile mean and a 95% bootstrap interval of the mean."""
    x = finite(values)
    nan = math.nan
    if len(x) == 0:
        return Estimate(0, nan, nan, nan, nan, nan, nan)
    low, high = _interval((x,), _mean, seed) if len(x) > 1 else (nan, nan)
    std = float(np.std(x, ddof=1)) if len(x) > 1 else nan
    iqm = float(stats.trim_mean(x, 0.25))
    return Estimate(len(x), float(np.mean(x)), std, float(np.median(x)), iqm, low, high)


def compare(
    a: Sequence[float] | Array,
    b: Sequence[float] | Array,
    better: Better,
    diverged_a: int = 0,
    diverged_b: int = 0,
    seed: int = 0,
) -> Difference:
    """Compare two groups of scores of one metric under one protocol.

    `diverged_a` and `diverged_b` count trainings that diverged: they have no score and rank below every other. The
    gain and its interval are over the scored ones only.
    """
    sign = 1.0 if better == "higher" else -1.0
    x, y = sign * finite(a), sign * finite(b)
    all_x, all_y = with_diverged(a, better, diverged_a), with_diverged(b, better, diverged_b)
    gain = float(np.mean(x) - np.mean(y)) if len(x) and len(y) else math.nan
    enough = len(x) > 1 and len(y) > 1
    low, high = _interval((x, y), _mean_difference, seed) if enough else (math.nan, math.nan)
    probability = _probability(all_x, all_y)
    p_value = _permutation_p(all_x, all_y, seed) if enough else math.nan
    smallest = min(1.0, 2 / math.comb(len(all_x) + len(all_y), len(all_x))) if enough else math.nan
    significant = enough and not low <= 0 <= high and _agree(gain, probability, all_x, all_y)
    certainty = _certainty(significant, p_value) if enough else "no claim"
    return Difference(len(x), len(y), gain, low, high, probability, p_value, smallest, certainty)


def _certainty(significant: bool, p_value: float) -> Certainty:
    if not significant or p_value > LIKELY_P + 1e-9:
        return "unclear"
    return "clear" if p_value < 1 - CONFIDENCE else "likely"


def _agree(gain: float, probability: float, x: Array, y: Array) -> bool:
    """Whether the mean of the scored trainings, the ranks of all and their median favor the same side."""
    # Diverged trainings can turn ranks and median against the mean of the scored ones.
    first, second = (np.median(x), np.median(y)) if gain > 0 else (np.median(y), np.median(x))
    return (gain > 0) == (probability > 0.5) and bool(first >= second)


def with_diverged(values: Sequence[float] | Array, better: Better, diverged: int) -> Array:
    """Return all trainings so that more is better: the scored ones, and minus infinity for each diverged one."""
    sign = 1.0 if better == "higher" else -1.0
    return np.concatenate([sign * finite(values), np.full(diverged, -np.inf)])


def _mean(x: Array, axis: int = -1) -> Any:
    return np.mean(x, axis=axis)


def _mean_difference(x: Array, y: Array, axis: int = -1) -> Any:
    return np.mean(x, axis=axis) - np.mean(y, axis=axis)


def _interval(samples: tuple[Array, ...], statistic: Any, seed: int) -> tuple[float, float]:
    # Percentile, not BCa: with three values BCa's corrections are noise, and equal values make it undefined.
    found = stats.bootstrap(
        samples,
        statistic,
        n_resamples=RESAMPLES,
        confidence_level=CONFIDENCE,
        method="percentile",
        vectorized=True,
        random_state=np.random.default_rng(seed),
    ).confidence_interval
    return float(found.low), float(found.high)


def _probability(x: Array, y: Array) -> float:
    if not len(x) or not len(y):
        return math.nan
    wins = (x[:, None] > y[None, :]).mean()
    ties = (x[:, None] == y[None, :]).mean()
    return float(wins + 0.5 * ties)


def _permutation_p(x: Array, y: Array, seed: int) -> float:
    ranks = stats.rankdata(np.concatenate([x, y]))
    found = stats.permutation_test(
        (ranks[: len(x)], ranks[len(x) :]),
        _mean_difference,
        n_resamples=PERMUTATIONS,
        vectorized=True,
        random_state=np.random.default_rng(seed),
    )
    return float(min(1.0, found.pvalue))
