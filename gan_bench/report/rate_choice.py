"""Choice of a model's learning rate without using a reported score twice: leave-one-seed-out."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from gan_bench.core.numbers import rate_text
from gan_bench.core.option_fields import Rates
from gan_bench.report.statistics import (
    CONFIDENCE,
    Better,
    Scale,
    center,
    finite,
    t_quantile,
    usable_scale,
)

Judgement: TypeAlias = tuple[bool, float, float, Rates]


@dataclass(frozen=True)
class Training:
    """A training of one model: its row, seed and score; `lost` is diverged or failed."""

    row: int
    seed: int
    value: float
    lost: bool


@dataclass(frozen=True)
class Columns:
    """Trainings as arrays [N]: a thousand seeds leave each seed out once."""

    seeds: np.ndarray
    values: np.ndarray
    lost: np.ndarray
    scored: np.ndarray

    @classmethod
    def of(cls, trainings: Sequence[Training]) -> Columns:
        """Return the columns of a rate's trainings."""
        values = np.array([training.value for training in trainings], float)
        seeds = np.array([training.seed for training in trainings])
        lost = np.array([training.lost for training in trainings], bool)
        return cls(seeds, values, lost, np.isfinite(values))


@dataclass(frozen=True)
class RateChoice:
    """The chosen rate, and the trainings that represent the model."""

    rates: Rates
    """The rate that all trainings together score best at: the one to train at next."""
    reported: Sequence[int]
    """Rows of the reported trainings, one for each seed."""
    at_best: Sequence[int]
    """Rows of all trainings at `rates`."""
    contenders: int
    """How many rates are about as good as the best one."""
    text: str
    """How the rate was chosen."""
    rate: str
    """The rates of the reported trainings: `2e-4`, or `2e-4 (4 seeds), 1e-4 (1)`."""


def choose_rate(
    trainings: Mapping[Rates, Sequence[Training]], better: Better, scale: Scale = "plain"
) -> RateChoice:
    """Choose a rate for each seed by the trainings of the other seeds, and report the seed at that rate.

    So the score of a seed has no part in the choice that it is reported for. A rate is better with a smaller share
    of lost trainings, then with a better mean. Where no rate has two seeds, the best training is reported.
    """
    columns = {rates: Columns.of(own) for rates, own in trainings.items()}
    overall = _best(columns, better)
    at_best = [training.row for training in trainings[overall]]
    if len(trainings) == 1:
        return RateChoice(overall, at_best, at_best, 1, "the only rate", rate_text(*overall))
    compared = {rates: own for rates, own in trainings.items() if len(own) > 1}
    several = {rates: columns[rates] for rates in compared}
    chosen = {seed: _best(several, better, seed) for seed in _seeds(compared)}
    reported = [
        (training.row, rates)
        for rates, own in sorted(compared.items())
        for training in own
        if chosen[training.seed] == rates
    ]
    if not reported:
        text = f"best of {len(trainings)} rates by the reported scores themselves: optimistic"
        return RateChoice(overall, at_best, at_best, len(trainings), text, rate_text(*overall))
    counts = Counter(rates for _, rates in reported)
    rows, near = [row for row, _ in reported], _contenders(compared, overall, better, scale)
    return RateChoice(overall, rows, at_best, near, _text(trainings, compared, counts), _rates(counts))


def _best(trainings: Mapping[Rates, Columns], better: Better, without: int | None = None) -> Rates:
    """Return the best rate by the trainings of all seeds but one."""
    sign = 1.0 if better == "lower" else -1.0

    def judge(rates: Rates) -> Judgement:
        own = trainings[rates]
        kept = own.seeds != without if without is not None else np.ones(len(own.seeds), bool)
        scored = own.values[kept & own.scored]
        lost = int(own.lost[kept].sum())
        share = lost / (lost + len(scored)) if lost or len(scored) else 1.0
        return (not len(scored), share, sign * float(scored.mean()) if len(scored) else math.inf, rates)

    return min(trainings, key=judge)


def _contenders(trainings: Mapping[Rates, Sequence[Training]], best: Rates, better: Better, scale: Scale) -> int:
    """Return the number of rates that a t-test does not tell from the best one, itself included."""
    values = {
        rates: finite([training.value for training in own]) for rates, own in trainings.items() if len(own) > 1
    }
    first = values.get(best, np.empty(0))
    if len(first) < 2:
        return len(trainings)
    count = 1
    for rates, own in values.items():
        if rates == best or len(own) < 2:
            continue
        a, b = (center(group, usable_scale(scale, first, own)) for group in (first, own))
        gap = (b.location - a.location) * (1 if better == "lower" else -1)
        count += gap < t_quantile(0.5 + CONFIDENCE / 2, min(a.n, b.n) - 1) * math.sqrt(a.variance + b.variance)
    return count


def _seeds(trainings: Mapping[Rates, Sequence[Training]]) -> set[int]:
    return {training.seed for own in trainings.values() for training in own}


def _text(
    trainings: Mapping[Rates, Sequence[Training]],
    compared: Mapping[Rates, Sequence[Training]],
    counts: Counter[Rates],
) -> str:
    parts = [
        f"leave-one-seed-out among {len(compared)} rates: each seed at the rate that the others score best at"
    ]
    if len(compared) == 1:
        parts = ["the only rate with two seeds"]
    if len(compared) < len(trainings) and len(compared) > 1:
        parts.append(f"not considered, for want of a second seed: {_listed(set(trainings) - set(compared))}")
    missing = len(_seeds(compared)) - sum(counts.values())
    if missing:
        parts.append(f"seeds that were not trained at their rate and are left out: {missing}")
    return "; ".join(parts)


def _listed(rates: set[Rates]) -> str:
    return ", ".join(rate_text(*each) for each in sorted(rates))


def _rates(counts: Counter[Rates]) -> str:
    """Return the rates of the reported trainings, the most frequent first, with counts where there are several."""
    if len(counts) == 1:
        return rate_text(*next(iter(counts)))
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    (first, seeds), *others = [(rate_text(*rates), count) for rates, count in ordered]
    return ", ".join([f"{first} ({seeds} seed{'s' * (seeds != 1)})", *(f"{text} ({n})" for text, n in others)])
