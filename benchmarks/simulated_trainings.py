"""Coverage of intervals, wrong claims, power and the bias of the rate choice, on simulated trainings.

python benchmarks/simulated_trainings.py [--repeats N] [--out FILE]

Prints the tables of docs/statistics.md. A score of a training is a random number with a known mean.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from gan_bench.report.decisions import Group, compare, compare_first
from gan_bench.report.rate_choice import Training, choose_rate
from gan_bench.report.statistics import Scale, difference_interval, estimate

Draw = Callable[[np.random.Generator, tuple[int, int]], np.ndarray]
Rows = list[dict[str, Any]]
MEAN = 10.0
RESAMPLES = 500


def normal(std: float, mean: float = MEAN) -> Draw:
    """Normal scores."""
    return lambda rng, shape: rng.normal(mean, std, shape)


def log_normal(sigma: float, mean: float = MEAN) -> Draw:
    """Log-normal scores with a given mean."""
    return lambda rng, shape: mean * np.exp(rng.normal(-(sigma**2) / 2, sigma, shape))


def student(df: int) -> Draw:
    """Scores with heavy tails."""
    return lambda rng, shape: MEAN + rng.standard_t(df, shape)


SPREADS: dict[str, Draw] = {
    "normal, std 10%": normal(1),
    "normal, std 30%": normal(3),
    "log-normal, sigma 0.1": log_normal(0.1),
    "log-normal, sigma 0.3": log_normal(0.3),
    "log-normal, sigma 0.5": log_normal(0.5),
    "log-normal, sigma 1": log_normal(1.0),
}
COUNTS = (3, 5, 10)
PAIRS: dict[str, tuple[Draw, Draw]] = {
    "normal, std 10% and 10%": (normal(1), normal(1)),
    "normal, std 5% and 25%": (normal(0.5), normal(2.5)),
    "log-normal, sigma 0.5 and 0.5": (log_normal(0.5), log_normal(0.5)),
    "log-normal, sigma 0.2 and 0.8": (log_normal(0.2), log_normal(0.8)),
}
SIZES = ((4, 4), (5, 5), (7, 7), (10, 10), (3, 10), (10, 3))
EQUAL: dict[str, tuple[Draw, Draw, int]] = {
    "normal": (normal(1), normal(1), 0),
    "normal, std 1 to 4": (normal(0.5), normal(2), 0),
    "normal, std 1 to 10": (normal(0.2), normal(2), 0),
    "log-normal, sigma 0.5": (log_normal(0.5), log_normal(0.5), 0),
    "log-normal, sigma 0.2 and 0.8": (log_normal(0.2), log_normal(0.8), 0),
    "heavy tails (t with 2 df)": (student(2), student(2), 0),
    "heavy tails (Cauchy)": (student(1), student(1), 0),
    "normal, one of A diverged": (normal(1), normal(1), 1),
    "std 4 to 1, one of A diverged": (normal(2), normal(0.5), 1),
}
"""Pairs of equal mean, and how many trainings of the first diverge."""


def percentile(x: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Percentile bootstrap."""
    low, high = np.quantile(_resampled(x, rng).mean(2), [0.025, 0.975], axis=1)
    return low, high


def bca(x: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """BCa bootstrap."""
    means, center = _resampled(x, rng).mean(2), x.mean(1, keepdims=True)
    below = (means < center).mean(1) + 0.5 * (means == center).mean(1)
    z0 = stats.norm.ppf(np.clip(below, 1e-3, 1 - 1e-3))
    off = (x - center) / (x.shape[1] - 1)
    skew = (off**3).sum(1) / (6 * np.maximum((off**2).sum(1), 1e-30) ** 1.5)
    ends = []
    for z in stats.norm.ppf([0.025, 0.975]):
        levels = stats.norm.cdf(z0 + (z0 + z) / (1 - skew * (z0 + z)))
        ends.append(np.array([np.quantile(row, level) for row, level in zip(means, levels, strict=True)]))
    return ends[0], ends[1]


def bootstrap_t(x: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Studentized bootstrap."""
    drawn, center, std = _resampled(x, rng), x.mean(1), x.std(1, ddof=1)
    spread = drawn.std(2, ddof=1)
    t = (drawn.mean(2) - center[:, None]) / np.where(spread > 0, spread, np.nan)
    low, high = np.nanquantile(t, [0.025, 0.975], axis=1)
    return center - high * std, center - low * std


def plain_t(x: np.ndarray, _: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Student t."""
    half = stats.t.ppf(0.975, x.shape[1] - 1) * x.std(1, ddof=1) / x.shape[1] ** 0.5
    return x.mean(1) - half, x.mean(1) + half


def t_of_logs(x: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Student t of the logarithms, which bounds the geometric mean."""
    low, high = plain_t(np.log(np.maximum(x, 1e-9)), rng)
    return np.exp(low), np.exp(high)


def ours(x: np.ndarray, _: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The interval of the report for FID: Student t of the mean on a log scale."""
    found = [estimate(row, "log") for row in x]
    return np.array([each.low for each in found]), np.array([each.high for each in found])


METHODS = {
    "percentile bootstrap": percentile,
    "BCa": bca,
    "bootstrap-t": bootstrap_t,
    "t of logs": t_of_logs,
    "t": plain_t,
    "t on a log scale": ours,
}


def _resampled(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return x[:, rng.integers(0, x.shape[1], (RESAMPLES, x.shape[1]))]


def coverage(
    repeats: int, methods: Sequence[str] = tuple(METHODS), spreads: Sequence[str] = tuple(SPREADS)
) -> Rows:
    """Return how often each method's 95% interval holds the mean."""
    rows, rng = [], np.random.default_rng(0)
    for name in spreads:
        for n in COUNTS:
            x = SPREADS[name](rng, (repeats, n))
            row = {"scores": name, "n": n}
            for method in methods:
                low, high = METHODS[method](x, rng)
                row[method] = float(np.mean((low <= MEAN) & (high >= MEAN)))
            rows.append(row)
    return rows


def difference_coverage(repeats: int) -> Rows:
    """Return how often the 95% interval of a difference holds it: Welch's, and the report's for FID."""
    rows, rng = [], np.random.default_rng(1)
    for name, (first, second) in PAIRS.items():
        for n, m in ((3, 3), (5, 5), (10, 10), (3, 10), (10, 3)):
            pairs = list(zip(first(rng, (repeats, n)), second(rng, (repeats, m)), strict=True))
            row: dict[str, Any] = {"scores": name, "n": f"{n} and {m}"}
            scales: dict[str, Scale] = {"Welch": "plain", "on a log scale": "log"}
            for title, scale in scales.items():
                held = [low <= 0 <= high for low, high in (_difference(x, y, scale) for x, y in pairs)]
                row[title] = float(np.mean(held))
            rows.append(row)
    return rows


def _difference(x: np.ndarray, y: np.ndarray, scale: Scale) -> tuple[float, float]:
    return difference_interval(x, y, scale if x.min() > 0 and y.min() > 0 else "plain")


def wrong_claims(repeats: int, sizes: Sequence[tuple[int, int]] = SIZES) -> Rows:
    """Return how often two models of equal mean are called different, at 5%, by several tests."""
    rows, rng = [], np.random.default_rng(2)
    for name, (first, second, lost) in EQUAL.items():
        for n, m in sizes:
            x, y = first(rng, (repeats, n - lost)), second(rng, (repeats, m))
            clear = [
                compare(a, b, "lower", lost, scale="log").certainty == "clear" for a, b in zip(x, y, strict=True)
            ]
            ranked = np.concatenate([x, np.full((repeats, lost), np.inf)], axis=1)
            rows.append(
                {
                    "scores": name,
                    "n": f"{n} and {m}",
                    "rank sum": _rejected(stats.mannwhitneyu(ranked, y, axis=1, method="exact").pvalue),
                    "Welch": _rejected(stats.ttest_ind(x, y, axis=1, equal_var=False).pvalue),
                    "Brunner-Munzel": _rejected(stats.brunnermunzel(ranked, y, axis=1).pvalue),
                    "decision": float(np.mean(clear)),
                }
            )
    return rows


def _rejected(p: np.ndarray) -> float:
    return float(np.mean(np.nan_to_num(p) <= 0.05))


def wrong_tables(repeats: int) -> Rows:
    """Return how often at least one of several equal models is called worse than the first of its table."""
    rows, rng = [], np.random.default_rng(3)
    for name, draws in {"normal": (normal(1),), "normal, std 1 to 4": (normal(0.5), normal(2))}.items():
        for models in (3, 5):
            for n in (6, 10):
                x = [draws[i % len(draws)](rng, (repeats, n)) for i in range(models)]
                wrong = [
                    any(each.certainty == "clear" for each in _table([values[k] for values in x]))
                    for k in range(repeats)
                ]
                rows.append({"scores": name, "models": models, "n": n, "decision": float(np.mean(wrong))})
    return rows


def _table(values: Sequence[np.ndarray]) -> list[Any]:
    """Return the comparisons with the first group after ranking by the median, as a leaderboard makes them."""
    return compare_first([Group(own) for own in sorted(values, key=np.median)], "lower", "log")


def power(repeats: int) -> Rows:
    """Return how often a true difference is found, and with how many trainings the report says it would be."""
    rows, rng = [], np.random.default_rng(4)
    cases = {
        "normal, 2 std apart": (normal(1), normal(1, 12)),
        "normal, 3 std apart": (normal(1), normal(1, 13)),
        "log-normal, sigma 0.3, twice": (log_normal(0.3), log_normal(0.3, 20)),
    }
    for name, (first, second) in cases.items():
        for n in (4, 5, 7, 10):
            pairs = zip(first(rng, (repeats, n)), second(rng, (repeats, n)), strict=True)
            found = [compare(x, y, "lower", scale="log") for x, y in pairs]
            rows.append(
                {
                    "difference": name,
                    "n": n,
                    "found": float(np.mean([each.certainty == "clear" for each in found])),
                    "seeds to confirm (median)": float(np.median([each.seeds_to_confirm for each in found])),
                }
            )
    return rows


def rate_choice(repeats: int) -> Rows:
    """Return the bias of a reported mean in standard deviations over seeds, and the coverage of its interval."""
    rows, rng = [], np.random.default_rng(5)
    for apart in (0.0, 1.0):
        for rates in (2, 4, 8):
            for n in COUNTS:
                best, held_out, covered = [], [], []
                for _ in range(repeats):
                    x = MEAN + np.arange(rates)[:, None] * apart + rng.normal(0, 1, (rates, n))
                    mean, truth = _held_out(x, apart)
                    chosen = int(x.mean(1).argmin())
                    best.append(x[chosen].mean() - MEAN - chosen * apart)
                    held_out.append(mean.mean - truth)
                    covered.append(mean.low <= truth <= mean.high)
                rows.append(
                    {
                        "rates": f"{rates}, {'equal' if not apart else '1 std apart'}",
                        "n": n,
                        "best rate, same seeds": float(np.mean(best)),
                        "leave-one-seed-out": float(np.mean(held_out)),
                        "interval covers": float(np.mean(covered)),
                    }
                )
    return rows


def _held_out(x: np.ndarray, apart: float) -> tuple[Any, float]:
    """Return the estimate over the reported trainings, and what new seeds at the chosen rate would score."""
    rates, n = x.shape
    cells = {
        (1.0 + rate, 1.0): [Training(rate * n + seed, seed, float(x[rate, seed]), False) for seed in range(n)]
        for rate in range(rates)
    }
    choice = choose_rate(cells, "lower", "log")
    found = estimate(x.ravel()[list(choice.reported)], "log", choice.contenders)
    return found, MEAN + (choice.rates[0] - 1) * apart


TABLES: dict[str, Callable[[int], Rows]] = {
    "coverage": coverage,
    "difference coverage": difference_coverage,
    "wrong claims": wrong_claims,
    "wrong tables": wrong_tables,
    "power": power,
    "rate choice": rate_choice,
}


def markdown(rows: Rows) -> str:
    """Return a table as Markdown."""
    heads = list(rows[0])
    lines = [heads, ["---" if isinstance(rows[0][head], str) else "---:" for head in heads]]
    lines += [[_cell(head, row[head]) for head in heads] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(head: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    if head in ("n", "models") or "seeds to" in head:
        return f"{value:.0f}"
    return f"{value:+.2f}".replace("-0.00", "0.00").replace("+0.00", "0.00") if "seed" in head else f"{value:.1%}"


def main() -> None:
    """Simulate, print the tables and write their numbers."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=4000)
    parser.add_argument("--out", type=Path, help="a JSON file for the numbers")
    parser.add_argument("--only", choices=list(TABLES), action="append")
    arguments = parser.parse_args()
    found = {name: TABLES[name](arguments.repeats) for name in arguments.only or TABLES}
    for name, rows in found.items():
        print(f"\n{name}\n\n{markdown(rows)}", flush=True)
    if arguments.out:
        kept = json.loads(arguments.out.read_text()) if arguments.out.exists() else {}
        kept |= {"repeats": arguments.repeats, **found}
        arguments.out.write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    main()
