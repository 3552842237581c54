"""Training on a GPU: captured steps against the textbook loop, eager steps, solo runs and resumed runs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers.oracle import textbook
from helpers.trainers import F64, assert_close, fail_on_event, finish, initial_state, weights
from helpers.training_cases import random_batch, small_spec
from torch import Tensor

from gan_bench.core.training_spec import TrainingSpec
from gan_bench.data.batch import Batch
from gan_bench.devices import numerics
from gan_bench.training import warmup
from gan_bench.training.lanes.batched_layers import CONV_ALGORITHMS, Convolution
from gan_bench.training.trainer import Trainer

STEPS = 7
"""With 40 images in batches of 8: an epoch of 5 steps and 2 more."""


def images(spec: TrainingSpec, device: torch.device) -> Batch:
    return random_batch(spec.image_size, count=40).to(device)


def captured(specs, data, device, dtype=torch.float32) -> Trainer:
    trainer = Trainer(specs, data, device, dtype)
    warmup.warm_up(trainer, fail_on_event, fuse=False)
    assert trainer.graphs, "no graph was captured"
    return trainer


def movement(end: dict[str, Tensor], start: dict[str, Tensor]) -> dict[str, Tensor]:
    """Changes of the weights relative to the largest change of each tensor: few steps change weights by little."""
    changes = {name: value - start[name] for name, value in end.items()}
    return {name: change / change.abs().max().clamp(min=1e-12) for name, change in changes.items()}


def test_captured_steps_equal_the_textbook_loop(device, model_name):
    """In float64, including the random numbers that replays draw."""
    spec = small_spec(model_name, lr_g=3e-4, lr_d=1e-4, steps=STEPS)
    data = images(spec, device)
    start = initial_state(Trainer([spec], data, device, F64))
    trainer = captured([spec], data, device, F64)
    expected, _ = textbook(spec, data.images, start, STEPS)
    flat = {f"{net}.{name}": value for net in expected for name, value in expected[net].items()}
    assert_close(weights(finish(trainer)), flat, 1e-9)


@pytest.mark.parametrize(
    ("loss", "penalty", "settings", "n_graphs"),
    [
        ("wgan-gp", "gp", {}, 1),
        ("bce", "r1", {"r1_interval": 3}, 2),
        ("hinge", "r1", {"r1_interval": 3, "d_steps": 2}, 3),
    ],
    ids=["wgan-gp", "lazy-r1", "lazy-r1-of-2-updates"],
)
def test_captured_penalties_equal_the_textbook_loop(device, loss, penalty, settings, n_graphs):
    """One graph for each pattern of updates of D with and without the penalty; wgan-gp has 5 updates a step."""
    spec = small_spec("dcgan28", loss=loss, penalty=penalty, settings=settings, steps=4)
    data = random_batch(28, count=80).to(device)
    start = initial_state(Trainer([spec], data, device, F64))
    trainer = captured([spec], data, device, F64)
    assert len(trainer.graphs) == n_graphs
    expected, _ = textbook(spec, data.images, start, 4)
    flat = {f"{net}.{name}": value for net in expected for name, value in expected[net].items()}
    assert_close(weights(finish(trainer)), flat, 1e-9)


def test_captured_lanes_with_a_penalty_equal_eager_solo_runs(device, model_name):
    settings = {"r1_interval": 2}
    specs = [small_spec(model_name, seed=seed, penalty="r1", settings=settings, steps=3) for seed in (0, 1)]
    data = images(specs[0], device)
    together = finish(captured(specs, data, device, F64))
    for lane, spec in enumerate(specs):
        assert_close(weights(together, lane), weights(finish(Trainer([spec], data, device, F64))), 1e-8)


def test_lanes_equal_solo_runs_with_every_convolution_algorithm(device, model_name):
    specs = [small_spec(model_name, seed=s, lr_g=rate, steps=3) for s, rate in ((0, 1e-4), (1, 1e-4), (0, 4e-4))]
    data = images(specs[0], device)
    alone = [weights(finish(Trainer([spec], data, device, F64))) for spec in specs]
    for algorithm in CONV_ALGORITHMS:
        together = Trainer(specs, data, device, F64)
        layers = [*together.g_net.modules(), *together.d_net.modules()]
        for layer in layers:
            if isinstance(layer, Convolution):
                layer.algorithm = algorithm
        finish(together)
        for lane, expected in enumerate(alone):
            assert_close(weights(together, lane), expected, 1e-8)


def test_captured_run_follows_the_eager_run_in_fp32(device, model_name):
    """Weights move alike, and random streams end in the same state."""
    spec = small_spec(model_name, steps=STEPS)
    data = images(spec, device)
    eager, graph = Trainer([spec], data, device), captured([spec], data, device)
    start = weights(eager)
    one, other = (movement(weights(finish(trainer)), start) for trainer in (eager, graph))
    apart = {name: (one[name] - other[name]).abs().mean().item() for name in one}
    assert max(apart.values()) < 0.1, max(apart, key=lambda name: apart[name])
    states = eager.state(0).arrays, graph.state(0).arrays
    for stream in (key for key in states[0] if key.startswith("stream.")):
        assert np.array_equal(states[0][stream], states[1][stream]), stream


@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-2), ("bf16", 5e-2)])
def test_captured_lanes_have_the_losses_of_eager_ones(device, model_name, precision, tolerance):
    specs = [small_spec(model_name, seed=seed, precision=precision) for seed in (0, 1, 2)]
    data = images(specs[0], device)
    eager, graph = Trainer(specs, data, device), captured(specs, data, device)
    for one, other in zip(eager.train_epoch(), graph.train_epoch(), strict=True):
        assert one.d_loss == pytest.approx(other.d_loss, abs=tolerance)
        assert one.g_loss == pytest.approx(other.g_loss, abs=tolerance)


def test_resumes_from_a_checkpoint(device, model_name):
    """In float64, with captured steps before and after."""
    spec = small_spec(model_name, steps=STEPS)
    data = images(spec, device)
    first, second = captured([spec], data, device, F64), Trainer([spec], data, device, F64)
    first.train_steps(pause=lambda: first.step >= 3)
    second.load_state(0, first.state(0))
    warmup.warm_up(second, fail_on_event, fuse=False)
    assert_close(weights(finish(second)), weights(finish(Trainer([spec], data, device, F64))), 1e-9)


def test_deterministic_runs_are_bit_identical(device, model_name):
    """In fp32, with captured steps; one of the runs is resumed from a checkpoint."""
    spec = small_spec(model_name, steps=STEPS)
    data = images(spec, device)
    numerics.use_deterministic_algorithms()
    whole, first = captured([spec], data, device), captured([spec], data, device)
    first.train_steps(pause=lambda: first.step >= 3)
    second = Trainer([spec], data, device)
    second.load_state(0, first.state(0))
    warmup.warm_up(second, fail_on_event, fuse=False)
    assert_close(weights(finish(second)), weights(finish(whole)), 0.0)


def test_losses_in_bf16_and_tf32_are_near_those_in_fp32(device, model_name):
    specs = [small_spec(model_name, precision=precision) for precision in ("fp32", "bf16", "tf32")]
    data = images(specs[0], device)
    fp32, bf16, tf32 = (captured([spec], data, device).train_epoch()[0].d_loss for spec in specs)
    assert bf16 == pytest.approx(fp32, abs=0.05)
    assert tf32 == pytest.approx(fp32, abs=0.05)


@pytest.mark.parametrize(("before", "after"), [("cuda:0", "cpu"), ("cpu", "cuda:0")])
def test_resumes_on_another_type_of_device(device, before, after):
    spec, data = small_spec("dcgan28", steps=STEPS), random_batch(28)
    first, second = (
        Trainer([spec], data.to(place), place) for place in (torch.device(before), torch.device(after))
    )
    first.train_steps(pause=lambda: first.step >= 3)
    second.load_state(0, first.state(0))
    finish(second)
    assert second.step == STEPS
    assert not second.divergence()
