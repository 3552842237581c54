"""Choice of learning rates by held-out seeds."""

import numpy as np
import pytest

from gan_bench.report.rate_choice import Training, choose_rate

SLOW, FAST = (1e-4, 1e-4), (2e-4, 2e-4)


def trainings(values: dict, lost: set[int] = frozenset()) -> dict:
    """Return rows numbered in the order of rates and seeds."""
    rows = iter(range(100))
    return {
        rates: [Training(row := next(rows), seed, value, row in lost) for seed, value in enumerate(own)]
        for rates, own in values.items()
    }


def test_each_seed_is_reported_at_the_rate_that_the_others_score_best_at() -> None:
    choice = choose_rate(trainings({SLOW: [10.0, 11.0, 12.0], FAST: [5.0, 6.0, 30.0]}), "lower")
    assert choice.reported == [0, 1, 5], "without seed 2, FAST is best, so its bad training is what is reported"
    assert choice.rates == SLOW
    assert choice.rate == "1e-4 (2 seeds), 2e-4 (1)"
    assert choice.text.startswith("leave-one-seed-out among 2 rates")


def test_one_rate_is_no_choice() -> None:
    choice = choose_rate(trainings({FAST: [5.0, 6.0]}), "lower")
    assert (choice.text, choice.contenders) == ("the only rate", 1)


def test_one_seed_a_rate_is_called_optimistic() -> None:
    choice = choose_rate(trainings({SLOW: [10.0], FAST: [5.0]}), "lower")
    assert choice.rates == FAST
    assert "optimistic" in choice.text


def test_a_rate_that_loses_trainings_is_not_chosen() -> None:
    nan = float("nan")
    choice = choose_rate(trainings({SLOW: [10.0, 11.0, 12.0], FAST: [1.0, 1.0, nan]}, lost={5}), "lower")
    assert choice.rates == SLOW


@pytest.mark.parametrize("rates", [2, 8])
def test_reported_means_have_no_optimism(rates: int) -> None:
    """Where all rates are equal; the best of all is 0.3 to 0.8 standard deviations too good."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(600):
        values = rng.normal(0, 1, (rates, 3))
        choice = choose_rate(
            trainings({(1e-4 * (k + 1),) * 2: own.tolist() for k, own in enumerate(values)}), "lower"
        )
        found.append(values.ravel()[list(choice.reported)].mean())
    assert abs(np.mean(found)) < 0.1
