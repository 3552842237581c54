"""Divergence: losses and weights out of any sane range, per lane, with the first step."""

from __future__ import annotations

import pytest
import torch
from helpers.training_cases import CPU, random_batch, small_spec

from gan_bench.training.divergence import MAX_MAGNITUDE, DivergenceWatch
from gan_bench.training.state import NetState
from gan_bench.training.trainer import Trainer

NO_WEIGHTS = NetState({}, {})


def watched(*losses: tuple[float, float], start: int = 0) -> DivergenceWatch:
    """A watch of one lane after steps with these losses."""
    watch = DivergenceWatch(1, CPU, torch.float32)
    watch.reset(start)
    for d_loss, g_loss in losses:
        watch.add(torch.tensor([[d_loss], [g_loss], [0.5], [0.5]]))
    return watch


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ((float("nan"), 1.0), "d_loss is nan at step 13"),
        ((1.0, 4e14), "g_loss is 4e+14 at step 13"),
        ((float("-inf"), -2e6), "d_loss is -inf and g_loss is -2e+06 at step 13"),
    ],
)
def test_the_first_step_out_of_range_is_named(bad: tuple[float, float], reason: str) -> None:
    watch = watched((1.0, 2.0), (-MAX_MAGNITUDE, MAX_MAGNITUDE), bad, (1.0, 1.0), (float("nan"), 1.0), start=10)
    assert watch.reasons(NO_WEIGHTS, NO_WEIGHTS, 15) == {0: reason}


def test_losses_within_the_bound_are_sane_and_a_reset_forgets() -> None:
    watch = watched((1.0, 2.0), (-MAX_MAGNITUDE, MAX_MAGNITUDE))
    assert watch.reasons(NO_WEIGHTS, NO_WEIGHTS, 2) == {}
    watch.add(torch.full((4, 1), float("nan")))
    watch.reset(3)
    assert watch.reasons(NO_WEIGHTS, NO_WEIGHTS, 3) == {}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1e7])
def test_weights_out_of_range_are_those_of_their_lane(value: float) -> None:
    trainer = Trainer([small_spec("vanilla", seed=seed) for seed in (0, 1)], random_batch(28), CPU)
    trainer.train_epoch()
    assert trainer.divergence() == {}
    next(iter(trainer.d.params.values()))[1].view(-1)[3] = value
    assert trainer.divergence() == {1: f"a weight of D is {abs(value):.3g} by step 8"}


def test_absurd_learning_rates_diverge_while_every_loss_is_finite() -> None:
    trainer = Trainer([small_spec("vanilla", lr_g=9.9, lr_d=9.9)], random_batch(28), CPU)
    (epoch,) = trainer.train_epoch()
    assert abs(epoch.g_loss) < float("inf")
    assert "at step" in trainer.divergence()[0]


def test_weights_without_dimensions_are_compared() -> None:
    """A scalar parameter of two lanes has the shape [2]."""
    net = NetState({"scale": torch.tensor([1.0, 2e6]), "weight": torch.ones(2, 3, 4)}, {})
    watch = DivergenceWatch(2, CPU, torch.float32)
    assert watch.reasons(net, NO_WEIGHTS, 7) == {1: "a weight of G is 2e+06 by step 7"}
