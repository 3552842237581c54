"""Formatting of numbers, estimates and differences as text."""

from __future__ import annotations

import math
from collections.abc import Sequence

from gan_bench.report.statistics import CONFIDENCE, LIKELY_P, Difference, Estimate

MISSING = "\N{EN DASH}"


def number(value: float | None) -> str:
    """Return a number with three significant digits and thousands separators; a dash for a missing one."""
    if value is None or not math.isfinite(value):
        return MISSING
    if value == 0:
        return "0"
    decimals = min(6, max(0, 2 - math.floor(math.log10(abs(value)))))
    return f"{value:,.{decimals}f}"


def aligned(values: Sequence[float | None], among: Sequence[float | None] = ()) -> list[str]:
    """Return a column of numbers with equal decimals; a dash for a missing one.

    The largest number decides on the decimals; `among` are further numbers to consider.
    """
    present = [abs(value) for value in (*values, *among) if value is not None and math.isfinite(value) and value]
    top = max(present, default=1.0)
    decimals = 0 if top >= 10_000 else 1 if top >= 100 else 2 if top >= 5 else 3 if top >= 0.05 else 5
    return [MISSING if value is None or not math.isfinite(value) else f"{value:,.{decimals}f}" for value in values]


def byte_size(value: float | None) -> str:
    """Return bytes as MiB or GiB."""
    if value is None or not math.isfinite(value):
        return MISSING
    mib = value / 2**20
    return f"{mib / 1024:,.2f} GiB" if mib >= 1024 else f"{mib:,.0f} MiB"


def trainings(count: int) -> str:
    """Return `1 training` or `3 trainings`."""
    return f"{count} training" + ("" if count == 1 else "s")


def describe_estimate(title: str, found: Estimate) -> str:
    """Return a mean with its interval, or why there is none."""
    if found.n == 0:
        return f"no {title} (nothing was scored)"
    if found.n == 1:
        return f"{title} {number(found.mean)} (one training: no interval, no claim)"
    rough = ", rough" if found.rough else ""
    return (
        f"{title} {number(found.mean)} (95% interval {number(found.low)} to {number(found.high)} "
        f"over {trainings(found.n)}{rough})"
    )


def describe_draws(n_draws: float, std_draws: float) -> str:
    """Return the spread over generation draws, such as `std 0.05 over 3 generation draws`; empty for one draw."""
    if not math.isfinite(std_draws):
        return ""
    return f"std {number(std_draws)} over {n_draws:.0f} generation draws"


def describe_difference(title: str, a: str, b: str, found: Difference) -> tuple[str, str]:
    """Return which of A and B is better with how certain that is, and the evidence."""
    if found.certainty == "no claim":
        few = " and ".join(f"{name} has {count}" for name, count in ((a, found.n_a), (b, found.n_b)) if count < 2)
        verdict = f"{a} against {b}: no claim."
        return verdict, f"Each needs at least two scored trainings to estimate its spread over seeds; {few}."
    winner, loser = (a, b) if found.gain > 0 else (b, a)
    evidence = (
        f"The mean {title} differs by {number(abs(found.gain))} (95% interval {_interval(found)}); probability of "
        f"improvement of {a} over {b}: {found.probability:.2f}; permutation p = {found.p_value:.2g}"
    )
    threshold = 1 - CONFIDENCE if found.certainty == "likely" else LIKELY_P
    if found.certainty != "clear" and found.smallest_p > threshold + 1e-9:
        evidence += f"; with so few trainings p is at least {found.smallest_p:.2g}"
    if found.certainty == "unclear":
        return f"{a} and {b} can't be told apart.", f"{evidence}."
    if found.certainty == "clear":
        return f"{winner} is better than {loser}.", f"{evidence}."
    return f"{winner} is likely better than {loser}; more seeds are needed to be sure.", f"{evidence}."


def _interval(found: Difference) -> str:
    low, high = sorted((found.low, found.high))
    if found.gain < 0:
        low, high = -high, -low
    return f"{number(low)} to {number(high)}"
