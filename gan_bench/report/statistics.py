"""Statistics over few trainings: estimates with intervals, and which of two groups is better and how sure that is.

The unit is one training (a seed), never one evaluation of a checkpoint. After arXiv 2108.13264.
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
"""With fewer trainings than this an interval is rough: the bootstrap knows only the values that it saw."""
CONFIDENCE = 0.95
LIKELY_P = 0.1
"""Above it the rank test says too little to call a difference likely; three against three can just reach it."""
RESAMPLES = 2000
PERMUTATIONS = 9999


@dataclass(frozen=True)
class Estimate:
    """What n trainings say about a score; NaN where n is too small to say it. `low` and `high` bound the mean."""

    n: int
    mean: float
    std: float
    median: float
    iqm: float
    low: float
    high: float

    @property
    def rough(self) -> bool:
        """Whether the interval rests on so few trainings that it is a rough guide only."""
        return self.n < ROUGH_BELOW


@dataclass(frozen=True)
class Difference:
    """How A's trainings differ from B's; `gain` is above 0 where A is better, in the score's unit."""

    n_a: int
    n_b: int
    gain: float
    low: float
    high: float
    probability: float
    """The probability that a training of A beats one of B; a lost (diverged) training loses to every other."""
    p_value: float
    """Two-sided permutation test on ranks."""
    smallest_p: float
    """The smallest p-value that so few trainings can give, however far apart they are."""
    certainty: Certainty
    """clear: the interval excludes 0 and p < 0.05; likely: it does, and p <= 0.1; no claim: too few.

    Where mean, ranks and median do not all favour the same side, the difference is unclear.
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
    lost_a: int = 0,
    lost_b: int = 0,
    seed: int = 0,
) -> Difference:
    """Compare two groups of scores of one metric under one protocol.

    `lost_a` and `lost_b` count trainings that diverged: they have no score and rank below every other. The gain
    and its interval are over the scored ones only.
    """
    sign = 1.0 if better == "higher" else -1.0
    x, y = sign * finite(a), sign * finite(b)
    full_x, full_y = with_lost(a, better, lost_a), with_lost(b, better, lost_b)
    gain = float(np.mean(x) - np.mean(y)) if len(x) and len(y) else math.nan
    enough = len(x) > 1 and len(y) > 1
    low, high = _interval((x, y), _mean_difference, seed) if enough else (math.nan, math.nan)
    probability = _probability(full_x, full_y)
    p_value = _permutation_p(full_x, full_y, seed) if enough else math.nan
    smallest = min(1.0, 2 / math.comb(len(full_x) + len(full_y), len(full_x))) if enough else math.nan
    shown = enough and not low <= 0 <= high and _agree(gain, probability, full_x, full_y)
    certainty = _certainty(shown, p_value) if enough else "no claim"
    return Difference(len(x), len(y), gain, low, high, probability, p_value, smallest, certainty)


def _certainty(shown: bool, p_value: float) -> Certainty:
    if not shown or p_value > LIKELY_P + 1e-9:
        return "unclear"
    return "clear" if p_value < 1 - CONFIDENCE else "likely"


def _agree(gain: float, probability: float, x: Array, y: Array) -> bool:
    """Whether the survivors' mean, the ranks of all trainings, and their median favour the same side."""
    # Lost trainings turn the ranks and the median against the survivors' mean: then nothing is shown.
    first, second = (np.median(x), np.median(y)) if gain > 0 else (np.median(y), np.median(x))
    return (gain > 0) == (probability > 0.5) and bool(first >= second)


def with_lost(values: Sequence[float] | Array, better: Better, lost: int) -> Array:
    """Return all trainings so that more is better: the scored ones, and minus infinity for each lost one."""
    sign = 1.0 if better == "higher" else -1.0
    return np.concatenate([sign * finite(values), np.full(lost, -np.inf)])


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
