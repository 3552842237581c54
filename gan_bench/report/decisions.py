"""Decision whether one group of trainings is better than another, with its power.

A difference is claimed where two tests agree. One is the exact rank sum test over all trainings, where lost ones
(diverged or failed) are the worst of all. The other is a t-test of the means with the degrees of freedom of the
smaller group, or else a test of the numbers of lost trainings. Each alone rejects equal models too often: ranks at
unequal variances, means at outliers. docs/statistics.md has the rates.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
from scipy import special, stats

from gan_bench.report.statistics import (
    CONFIDENCE,
    MIN_FOR_INTERVAL,
    Array,
    Better,
    Scale,
    center,
    difference_interval,
    finite,
    t_quantile,
    two_sided_p,
    usable_scale,
)

Certainty: TypeAlias = Literal["clear", "unclear", "too few"]

LIMIT = 1 - CONFIDENCE
"""The largest adjusted p-value of a difference that is claimed."""
MIN_TRAININGS = 3
POWER = 0.8
MAX_SEEDS = 100
"""Seeds beyond which an estimate of how many are needed is only `more than 100`."""
EXACT_BELOW = 60
"""Trainings up to which the rank sum test is exact; beyond, normal with correction for ties."""
RANK_EFFICIENCY = 3 / math.pi
"""Efficiency of ranks relative to means for normal values."""


@dataclass(frozen=True)
class Difference:
    """Difference between the trainings of A and of B; `gain` is above 0 where A is better, in the score's unit."""

    n_a: int
    """Trainings of A that count: the scored and the lost ones."""
    n_b: int
    gain: float
    """Between the means of the scored trainings."""
    low: float
    high: float
    probability: float
    """Probability of improvement: of one training of A over one of B; NaN for too few trainings."""
    p_value: float
    """The larger one of both tests, adjusted for the pairs of the table (Holm); NaN for too few trainings."""
    smallest_p: float
    """The smallest possible `p_value` for these numbers of trainings."""
    needed: int
    """Trainings of each group with which `p_value` can fall to the limit."""
    detectable: float
    """The difference, in the score's unit, that would be found 80% of the time with these trainings."""
    seeds_to_confirm: float
    """About how many trainings of each group would find a difference of this size 80% of the time; infinite for
    more than 100, NaN without an estimate."""
    certainty: Certainty
    """clear: p is at most 5%, and means, ranks and medians favor the same side; too few: p can't be that small."""

    @property
    def counts(self) -> str:
        """The numbers of trainings in words: `2 each` or `2 against 3`."""
        return f"{self.n_a} each" if self.n_a == self.n_b else f"{self.n_a} against {self.n_b}"

    @property
    def too_few(self) -> str:
        """The words for too few trainings: `too few seeds (2 each; 4 needed)`."""
        each = "" if self.n_a == self.n_b else " each"
        return f"too few seeds ({self.counts}; {self.needed}{each} needed)"


@dataclass(frozen=True)
class Group:
    """The trainings of one row: scored values, and the number of lost ones (diverged or failed)."""

    values: Array
    lost: int = 0
    contenders: int = 1
    """Learning rates that the reported one was chosen from."""
    at_best_rate: Group | None = None
    """The trainings at the rate that is best over all seeds, where `values` are at the rates of held-out seeds.

    A claim has to hold for both: held-out scores have no bias, but vary together where rates are equally good.
    """


def compare(
    a: Sequence[float] | Array,
    b: Sequence[float] | Array,
    better: Better,
    lost_a: int = 0,
    lost_b: int = 0,
    scale: Scale = "plain",
) -> Difference:
    """Compare two groups of scores of one metric under one protocol; see `compare_first` for several groups."""
    (found,) = compare_first([Group(finite(a), lost_a), Group(finite(b), lost_b)], better, scale)
    return found


def compare_first(groups: Sequence[Group], better: Better, scale: Scale) -> list[Difference]:
    """Return the comparison of the first group with each other one; p-values are adjusted over all pairs.

    All pairs count, for which group is first depends on the same values.
    """
    return list(compare_pairs(groups, better, scale, 1).values())


def compare_pairs(
    groups: Sequence[Group], better: Better, scale: Scale, first: int
) -> dict[tuple[int, int], Difference]:
    """Return the comparisons of the `first` groups with each one after them, by their indices.

    p-values are adjusted over all pairs of `groups`, however many are returned.
    """
    pairs = [(i, j) for i in range(len(groups)) for j in range(i + 1, len(groups))]
    whole = [with_lost(group.values, better, group.lost) for group in groups]
    smallest = holm([_smallest_p(len(whole[i]), len(whole[j])) for i, j in pairs])
    enough = [least <= LIMIT + 1e-9 for least in smallest]
    p_values = [
        _p_value_of_both(groups[i], groups[j], better, scale) if able else 1.0
        for (i, j), able in zip(pairs, enough, strict=True)
    ]
    found = {}
    for (i, j), p, least, able in zip(pairs, holm(p_values), smallest, enough, strict=True):
        if i >= first:
            break
        each = _difference(groups[i], groups[j], better, scale, len(pairs))
        probability = _probability(whole[i], whole[j])
        certainty: Certainty = "unclear" if able else "too few"
        if able and p <= LIMIT + 1e-9 and _agree(each.gain, probability, whole[i], whole[j]):
            certainty = "clear"
        if able:
            each = replace(each, p_value=p, probability=probability)
        found[i, j] = replace(each, smallest_p=least, certainty=certainty)
    return found


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for multiple comparisons by Holm's method; NaN counts as 1."""
    p = np.nan_to_num(np.asarray(p_values, dtype=np.float64), nan=1.0)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)).clip(max=1.0)
    adjusted = np.empty_like(p)
    adjusted[order] = stepped
    return [float(value) for value in adjusted]


@functools.lru_cache(maxsize=256)
def needed_trainings(pairs: int) -> int:
    """Return the trainings of each of two groups with which the smallest possible p reaches the limit."""
    n = MIN_TRAININGS
    while pairs * _smallest_p(n, n) > LIMIT:
        n += 1
    return n


def with_lost(values: Sequence[float] | Array, better: Better, lost: int) -> Array:
    """Return all trainings so that more is better: the scored ones, and minus infinity for each lost one."""
    sign = 1.0 if better == "higher" else -1.0
    return np.concatenate([sign * finite(values), np.full(lost, -np.inf)])


def _difference(a: Group, b: Group, better: Better, scale: Scale, pairs: int) -> Difference:
    """Return the difference of two groups with its interval and power; the decision is left open."""
    sign = 1.0 if better == "higher" else -1.0
    x, y = a.values, b.values
    scale = usable_scale(scale, x, y)
    gain = sign * float(np.mean(x) - np.mean(y)) if len(x) and len(y) else math.nan
    low = high = math.nan
    if min(len(x), len(y)) >= MIN_FOR_INTERVAL:
        low, high = sorted(sign * end for end in difference_interval(x, y, scale, max(a.contenders, b.contenders)))
    detectable, seeds = _power(x, y, scale, pairs)
    n_a, n_b = len(x) + a.lost, len(y) + b.lost
    needed, nan = needed_trainings(pairs), math.nan
    return Difference(n_a, n_b, gain, low, high, nan, nan, 1.0, needed, detectable, seeds, "unclear")


def _agree(gain: float, probability: float, x: Array, y: Array) -> bool:
    """Whether the mean of the scored trainings, the ranks of all and their median favor the same side."""
    # Lost trainings can turn ranks and median against the mean of the scored ones.
    a_first = probability > 0.5
    first, second = (np.median(x), np.median(y)) if a_first else (np.median(y), np.median(x))
    return bool(first >= second) and (math.isnan(gain) or (gain > 0) == a_first)


def a_is_better(found: Difference) -> bool:
    """Whether A is the better one of a clear difference."""
    return found.probability > 0.5


def _probability(x: Array, y: Array) -> float:
    if not len(x) or not len(y):
        return math.nan
    wins = (x[:, None] > y[None, :]).mean()
    ties = (x[:, None] == y[None, :]).mean()
    return float(wins + 0.5 * ties)


def _p_value_of_both(a: Group, b: Group, better: Better, scale: Scale) -> float:
    """Return the p-value of the reported trainings and, after a choice of rates, of those at the best rate."""
    p = _p_value(a, b, better, scale)
    if a.at_best_rate or b.at_best_rate:
        p = max(p, _p_value(a.at_best_rate or a, b.at_best_rate or b, better, scale))
    return p


def _p_value(a: Group, b: Group, better: Better, scale: Scale) -> float:
    """Return the p-value of the ranks of all trainings, and of the means or else of the numbers of lost ones."""
    x, y = (with_lost(group.values, better, group.lost) for group in (a, b))
    lost = _rank_sum_p(np.isfinite(x).astype(float), np.isfinite(y).astype(float)) if a.lost or b.lost else 1.0
    return max(_rank_sum_p(x, y), min(_t_test_p(a.values, b.values, scale), lost))


def _t_test_p(x: Array, y: Array, scale: Scale) -> float:
    """Return the p-value of a t-test of the means with the degrees of freedom of the smaller group."""
    if min(len(x), len(y)) < 2:
        return 1.0
    scale = usable_scale(scale, x, y)
    first, second = center(x, scale), center(y, scale)
    gap, variance = first.location - second.location, first.variance + second.variance
    if variance <= 0:
        return 1.0 if gap == 0 else 0.0
    return two_sided_p(gap / math.sqrt(variance), min(first.n, second.n) - 1)


def _smallest_p(n_a: int, n_b: int) -> float:
    if min(n_a, n_b) < MIN_TRAININGS:
        return 1.0
    return min(1.0, 2 / math.comb(n_a + n_b, n_a))


def _rank_sum_p(x: Array, y: Array) -> float:
    """Return the two-sided p-value of the rank sum test, exact (with ties, too) for at most 60 trainings."""
    values = np.concatenate([x, y])
    n, total = len(x), len(values)
    if len(set(values.tolist())) == total:
        doubled = np.arange(2, 2 * total + 1, 2)
        ranks = doubled[np.argsort(np.argsort(values))]
    else:
        ranks = np.rint(2 * stats.rankdata(values)).astype(int)
        doubled = np.sort(ranks)
    off = abs(int(ranks[:n].sum()) - n * (total + 1))
    if total <= EXACT_BELOW:
        return float(_rank_sum_tail(tuple(doubled.tolist()), n)[off])
    variance = n * (total - n) / (total - 1) * float(np.var(doubled))
    return float(special.erfc(max(0, off - 1) / math.sqrt(2 * variance))) if variance > 0 else 1.0


@functools.lru_cache(maxsize=4096)
def _rank_sum_tail(doubled: tuple[int, ...], n: int) -> Array:
    """Return P(|sum - mean| >= k) by k, for the sum of n of these doubled ranks drawn at random."""
    ways = np.zeros((n + 1, sum(doubled) + 1))
    ways[0, 0] = 1
    for rank in doubled:
        ways[1:, rank:] += ways[:-1, :-rank].copy()
    mean = n * (len(doubled) + 1)
    off = np.abs(np.arange(ways.shape[1]) - mean)
    share = np.bincount(off, weights=ways[n]) / ways[n].sum()
    return np.cumsum(share[::-1])[::-1].clip(max=1.0)


def _power(x: Array, y: Array, scale: Scale, pairs: int) -> tuple[float, float]:
    """Return the detectable difference and the trainings that confirm the observed one; see `Difference`."""
    if min(len(x), len(y)) < 2:
        return math.nan, math.nan
    a, b = center(x, scale), center(y, scale)
    gap = abs(a.location - b.location)
    df = min(a.n, b.n) - 1
    found = _margin(df, pairs) * math.sqrt((a.variance + b.variance) / RANK_EFFICIENCY)
    unit = 1.0 if scale == "plain" else min(math.exp(a.location), math.exp(b.location))
    detectable = found if scale == "plain" else unit * math.expm1(min(found, 700.0))
    spread = a.variance * a.n + b.variance * b.n
    least = needed_trainings(pairs)
    for n in range(least, MAX_SEEDS + 1):
        if gap >= _margin(n - 1, pairs) * math.sqrt(spread / n / RANK_EFFICIENCY):
            return detectable, float(n)
    return detectable, math.inf


@functools.lru_cache(maxsize=4096)
def _margin(df: int, pairs: int) -> float:
    """Return the standard errors between two means that are found with the wanted power."""
    return t_quantile(1 - LIMIT / pairs / 2, df) + t_quantile(POWER, df)
