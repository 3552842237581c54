"""Formatting of estimates and differences as text; numbers are formatted by `gan_bench.core.numbers`."""

from __future__ import annotations

import math

from gan_bench.core.numbers import MISSING, number
from gan_bench.report.decisions import MAX_SEEDS, POWER, Difference, a_is_better
from gan_bench.report.statistics import MIN_FOR_INTERVAL, Estimate


def byte_size(value: float | None) -> str:
    """Return bytes as MiB or GiB."""
    if value is None or not math.isfinite(value):
        return MISSING
    mib = value / 2**20
    return f"{mib / 1024:,.2f} GiB" if mib >= 1024 else f"{mib:,.0f} MiB"


def p_text(p: float) -> str:
    """Return a p-value with two significant digits; a dash for a missing one."""
    if not math.isfinite(p):
        return MISSING
    return "< 0.0001" if p < 0.0001 else f"{p:.2g}"


def trainings(count: int) -> str:
    """Return `1 training` or `3 trainings`."""
    return f"{count} training" + ("" if count == 1 else "s")


def count_text(n: int, diverged: int, failed: int) -> str:
    """Return the number of trainings that a mean is over: `3 trainings`, or `2 of 3 trainings: 1 diverged`."""
    lost = [f"{count} {status}" for count, status in ((diverged, "diverged"), (failed, "failed")) if count]
    total = n + diverged + failed
    return f"{n} of {trainings(total)}: {', '.join(lost)}" if lost else trainings(n)


def describe_estimate(title: str, found: Estimate, diverged: int = 0, failed: int = 0) -> str:
    """Return a mean with its interval and the trainings it is over, or why there is none."""
    over = count_text(found.n, diverged, failed)
    if found.n == 0:
        return f"no {title} ({over if diverged or failed else 'nothing was scored'})"
    if found.n == 1:
        return f"{title} {number(found.mean)} ({over}; no interval, no claim)"
    if found.n < MIN_FOR_INTERVAL:
        return f"{title} {number(found.mean)} (mean over {over}; too few for an interval)"
    return f"{title} {number(found.mean)} (95% interval {number(found.low)} to {number(found.high)} over {over})"


def describe_draws(n_draws: float, std_draws: float) -> str:
    """Return the spread over generation draws, such as `std 0.05 over 3 generation draws`; empty for one draw."""
    if not math.isfinite(std_draws):
        return ""
    return f"std {number(std_draws)} over {n_draws:.0f} generation draws"


def describe_difference(title: str, a: str, b: str, found: Difference) -> tuple[str, str]:
    """Return which of A and B is better with how certain that is, and the evidence."""
    if found.certainty == "too few":
        return f"{a} against {b}: {found.too_few}: no claim.", _size(title, found, tested=False)
    if found.certainty == "unclear":
        return f"{a} and {b} can't be told apart with {found.counts}.", f"{_size(title, found)} {_power(found)}"
    winner, loser = (a, b) if a_is_better(found) else (b, a)
    improvement = max(found.probability, 1 - found.probability)
    return (
        f"{winner} is better than {loser}.",
        f"{_size(title, found)} Probability of improvement of {winner} over {loser}: {improvement:.2f}.",
    )


def _size(title: str, found: Difference, tested: bool = True) -> str:
    """Return the difference of the means with its interval, and the p-value."""
    p = f"p = {p_text(found.p_value)}".replace("= <", "<") if tested else ""
    if math.isnan(found.gain):
        return f"No difference of means: a side has no scored training{'; ' * bool(p)}{p}."
    interval = f" (95% interval {_interval(found)})" if math.isfinite(found.low) else ""
    return f"The mean {title} differs by {number(abs(found.gain))}{interval}{'; ' * bool(p)}{p}."


def _power(found: Difference) -> str:
    """Return what would have been found, and with how many trainings the observed difference would be."""
    if not math.isfinite(found.detectable):
        return "Too few are scored to estimate how many seeds would be needed."
    few = math.isfinite(found.seeds_to_confirm)
    seeds = f"about {found.seeds_to_confirm:.0f}" if few else f"more than {MAX_SEEDS}"
    return (
        f"So many trainings find a difference of {number(found.detectable)} {POWER:.0%} of the time; "
        f"one of the observed size needs {seeds} each."
    )


def _interval(found: Difference) -> str:
    low, high = sorted((found.low, found.high))
    if found.gain < 0:
        low, high = -high, -low
    return f"{number(low)} to {number(high)}"
