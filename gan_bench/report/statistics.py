"""Statistics over a few trainings: means with intervals, and the interval of a difference.

The unit is one training (a seed), never one evaluation or one generation draw. Intervals are Student t on a scale
that is fixed for each metric beforehand: docs/statistics.md compares methods. After arXiv 2108.13264.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

Array: TypeAlias = NDArray[np.float64]
Better: TypeAlias = Literal["lower", "higher"]
Scale: TypeAlias = Literal["log", "plain"]

LOG_METRICS = ("fid",)
"""Metrics above 0 whose spread grows with their size; all others are on a plain scale."""
CONFIDENCE = 0.95
MIN_FOR_INTERVAL = 3
"""Trainings below which there is no interval: that of two says nothing but that two are too few."""


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


@dataclass(frozen=True)
class Center:
    """Location of a group on a metric's scale, and the squared standard error of it.

    On a log scale the location is the logarithm of a log-normal distribution's mean (Cox's estimator).
    """

    n: int
    location: float
    variance: float


def scale_of(metric: str) -> Scale:
    """Return the scale on which a metric's intervals and t-tests are computed."""
    return "log" if metric in LOG_METRICS else "plain"


def finite(values: Sequence[float] | Array) -> Array:
    """Return the finite ones of `values` as float64 [N]."""
    array = np.asarray(values, dtype=np.float64)
    return array[np.isfinite(array)]


def estimate(values: Sequence[float] | Array, scale: Scale = "plain", contenders: int = 1) -> Estimate:
    """Return mean, std (ddof 1), median, interquartile mean and, from 3 values on, a 95% interval of the mean.

    `contenders` is the number of learning rates that the reported one was chosen from; see `confidence`.
    """
    x = finite(values)
    nan = math.nan
    if len(x) == 0:
        return Estimate(0, nan, nan, nan, nan, nan, nan)
    std = float(np.std(x, ddof=1)) if len(x) > 1 else nan
    low = high = nan
    if len(x) >= MIN_FOR_INTERVAL:
        low, high = mean_interval(x, usable_scale(scale, x), contenders)
    iqm = float(stats.trim_mean(x, 0.25))
    return Estimate(len(x), float(np.mean(x)), std, float(np.median(x)), iqm, low, high)


def usable_scale(scale: Scale, *groups: Array) -> Scale:
    """Return the scale, or `plain` where a value is not above 0: identical images get a FID of about 0."""
    return scale if all((group > 0).all() for group in groups) else "plain"


def center(x: Array, scale: Scale) -> Center:
    """Return the location of at least two values on a scale, with its squared standard error."""
    n = len(x)
    if scale == "plain":
        return Center(n, float(np.mean(x)), float(np.var(x, ddof=1)) / n)
    logs = np.log(x)
    spread = float(np.var(logs, ddof=1))
    return Center(n, float(np.mean(logs)) + spread / 2, spread / n + spread**2 / (2 * (n - 1)))


def confidence(contenders: int) -> float:
    """Return the level at which an interval is computed so that it covers 95% after a choice of the learning rate.

    Held-out scores vary together where several rates are equally good. Bonferroni's correction for them and one
    more was found sufficient by simulation.
    """
    return 1 - (1 - CONFIDENCE) / (contenders + 1 if contenders > 1 else 1)


def mean_interval(x: Array, scale: Scale, contenders: int = 1, df: float | None = None) -> tuple[float, float]:
    """Return the 95% interval of the mean of at least two values, with n - 1 degrees of freedom by default."""
    found = center(x, scale)
    half = t_quantile(0.5 + confidence(contenders) / 2, df or found.n - 1) * math.sqrt(found.variance)
    low, high = found.location - half, found.location + half
    return (low, high) if scale == "plain" else (_exp(low), _exp(high))


def difference_interval(x: Array, y: Array, scale: Scale, contenders: int = 1) -> tuple[float, float]:
    """Return the 95% interval of mean(x) - mean(y), at least two values each.

    On a plain scale it is Welch's. On a log scale the limits of both means, with Welch's degrees of freedom, are
    combined (MOVER, doi 10.1002/sim.2936).
    """
    df = _welch_df(center(x, "plain"), center(y, "plain"))
    middle = [float(np.mean(v)) if scale == "plain" else _exp(center(v, scale).location) for v in (x, y)]
    (x_low, x_high), (y_low, y_high) = (mean_interval(v, scale, contenders, df) for v in (x, y))
    gain = middle[0] - middle[1]
    return (
        gain - math.hypot(middle[0] - x_low, y_high - middle[1]),
        gain + math.hypot(x_high - middle[0], middle[1] - y_low),
    )


def _welch_df(a: Center, b: Center) -> float:
    total = a.variance**2 / (a.n - 1) + b.variance**2 / (b.n - 1)
    smallest = min(a.n, b.n) - 1
    return max(smallest, (a.variance + b.variance) ** 2 / total) if total > 0 else smallest


def t_quantile(probability: float, df: float) -> float:
    """Return a quantile of Student's t distribution."""
    return float(special.stdtrit(df, probability))


def two_sided_p(t: float, df: float) -> float:
    """Return the two-sided p-value of a t statistic."""
    return float(2 * special.stdtr(df, -abs(t)))


def _exp(value: float) -> float:
    return math.exp(min(value, 700.0))
