"""Coverage of intervals, and rejection rates of comparisons, on simulated trainings: docs/statistics.md has them.

python benchmarks/statistics_simulation.py [--trainings 2000]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping

import numpy as np
from scipy import stats

from gan_bench.report.decisions import Group, compare_first
from gan_bench.report.rate_choice import Training, choose_rate
from gan_bench.report.statistics import difference_interval, mean_interval

Sample = Callable[[np.random.Generator, int], np.ndarray]
SHAPES: Mapping[str, tuple[Sample, float]] = {
    "normal, std 10%": (lambda rng, n: rng.normal(50, 5, n), 50.0),
    "log-normal, sigma 0.1": (lambda rng, n: 50 * np.exp(rng.normal(0, 0.1, n)), 50 * np.exp(0.1**2 / 2)),
    "log-normal, sigma 0.3": (lambda rng, n: 50 * np.exp(rng.normal(0, 0.3, n)), 50 * np.exp(0.3**2 / 2)),
    "log-normal, sigma 0.6": (lambda rng, n: 50 * np.exp(rng.normal(0, 0.6, n)), 50 * np.exp(0.6**2 / 2)),
}
"""Distributions of FID over trainings, with their means."""


def bootstrap(x: np.ndarray, rng: np.random.Generator) -> tuple[float, float]:
    """Return the percentile bootstrap interval of the mean: the method used before."""
    means = rng.choice(x, (500, len(x))).mean(1)
    return float(np.quantile(means, 0.025)), float(np.quantile(means, 0.975))


def coverage(sample: Sample, mean: float, n: int, repeats: int) -> tuple[float, float, float]:
    """Return how often 95% intervals contain the mean: bootstrap, t, and t on the log scale."""
    rng = np.random.default_rng(0)
    hits = np.zeros(3)
    for _ in range(repeats):
        x = np.maximum(sample(rng, n), 1e-6)
        for index, (low, high) in enumerate(
            (bootstrap(x, rng), mean_interval(x, "plain"), mean_interval(x, "log"))
        ):
            hits[index] += low <= mean <= high
    return tuple(hits / repeats)


def difference_coverage(sample: Sample, n: int, repeats: int) -> float:
    """Return how often the 95% interval of a difference of equal means contains 0."""
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(repeats):
        low, high = difference_interval(*(np.maximum(sample(rng, n), 1e-6) for _ in range(2)), "log")
        hits += low <= 0 <= high
    return hits / repeats


def rejection(draw: Callable[[np.random.Generator], list[Group]], repeats: int) -> float:
    """Return how often equal models are called different anywhere in the table."""
    rng = np.random.default_rng(2)
    found = 0
    for _ in range(repeats):
        found += any(each.certainty == "clear" for each in compare_first(draw(rng), "lower", "log"))
    return found / repeats


def power(n: int, ratio: float, sigma: float, repeats: int) -> float:
    """Return how often two models whose FID differs by a factor are called different."""
    rng = np.random.default_rng(3)

    def draw(center: float) -> Group:
        return Group(center * np.exp(rng.normal(0, sigma, n)))

    clear = (compare_first([draw(50), draw(50 * ratio)], "lower", "log")[0].certainty for _ in range(repeats))
    return sum(each == "clear" for each in clear) / repeats


def optimism(rates: int, n: int, repeats: int) -> tuple[float, float]:
    """Return by how many standard deviations the reported mean is too good: held-out seeds, best of all."""
    rng = np.random.default_rng(4)
    held, best = [], []
    for _ in range(repeats):
        values = rng.normal(0, 1, (rates, n))
        trainings = {
            (1e-4 * (rate + 1),) * 2: [
                Training(rate * n + seed, seed, values[rate, seed], False) for seed in range(n)
            ]
            for rate in range(rates)
        }
        choice = choose_rate(trainings, "lower")
        held.append(values.ravel()[list(choice.reported)].mean())
        best.append(values.mean(1).min())
    return -float(np.mean(held)), -float(np.mean(best))


def nulls() -> Mapping[str, Callable[[np.random.Generator], list[Group]]]:
    """Return tables of equal models, by description."""

    def groups(sizes: tuple[int, ...], draw: Callable[[np.random.Generator, int, int], Group]):
        return lambda rng: [draw(rng, index, n) for index, n in enumerate(sizes)]

    def normal(rng: np.random.Generator, index: int, n: int) -> Group:
        return Group(rng.normal(50, 5, n))

    def unequal(rng: np.random.Generator, index: int, n: int) -> Group:
        return Group(rng.normal(50, 1 if index else 6, n))

    def heavy(rng: np.random.Generator, index: int, n: int) -> Group:
        return Group(50 * np.exp(0.1 * stats.t.rvs(3, size=n, random_state=rng)))

    def one_lost(rng: np.random.Generator, index: int, n: int) -> Group:
        return Group(rng.normal(50, 5, n - (index == 0)), lost=int(index == 0))

    return {
        "2 models, 4 seeds": groups((4, 4), normal),
        "2 models, 10 seeds": groups((10, 10), normal),
        "5 models, 7 seeds": groups((7,) * 5, normal),
        "2 models, 5 seeds, variances 1 : 36": groups((5, 5), unequal),
        "2 models, 4 against 10 seeds, variances 36 : 1": groups((4, 10), unequal),
        "3 models, 6 seeds, Student t with 3 degrees": groups((6,) * 3, heavy),
        "2 models, 5 seeds, one run diverged": groups((5, 5), one_lost),
    }


def main() -> None:
    """Print the tables of docs/statistics.md."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--trainings", type=int, default=2000, help="simulated comparisons a row")
    repeats = parser.parse_args().trainings
    print("| scores over trainings | n | bootstrap | t | t, log scale | difference, log scale |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for name, (sample, mean) in SHAPES.items():
        for n in (3, 5, 10):
            row = (*coverage(sample, mean, n, repeats), difference_coverage(sample, n, repeats))
            print(f"| {name} | {n} | " + " | ".join(f"{value:.1%}" for value in row) + " |")
    print("\n| equal models | called different |\n| --- | ---: |")
    for name, draw in nulls().items():
        print(f"| {name} | {rejection(draw, repeats):.1%} |")
    print("\n| seeds each | 1.1 | 1.2 | 1.5 | 2 |\n| ---: | ---: | ---: | ---: | ---: |")
    for n in (4, 5, 7, 10):
        print(
            f"| {n} | "
            + " | ".join(f"{power(n, ratio, 0.1, repeats // 2):.0%}" for ratio in (1.1, 1.2, 1.5, 2))
            + " |"
        )
    print("\n| rates | seeds | held-out seeds | best of all |\n| ---: | ---: | ---: | ---: |")
    for rates, n in ((2, 3), (4, 3), (4, 5), (8, 3)):
        held, best = optimism(rates, n, repeats)
        print(f"| {rates} | {n} | {held:+.2f} | {best:+.2f} |")


if __name__ == "__main__":
    main()
