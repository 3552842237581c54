"""The trainer against the textbook loop, lanes against solo runs, and resuming."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from helpers.oracle import textbook
from helpers.training_cases import CPU, random_batch, small_spec

from gan_bench.core.errors import InputError
from gan_bench.training.trainer import Trainer

F64 = torch.float64


def tensors(trainer: Trainer, lane: int) -> dict[str, torch.Tensor]:
    return {
        f"{net}.{name}": value[lane]
        for net, state in (("g", trainer.g), ("d", trainer.d))
        for part in (state.params, state.buffers)
        for name, value in part.items()
    }


def trained(specs, data, dtype=F64) -> Trainer:
    trainer = Trainer(specs, data, CPU, dtype)
    while not trainer.finished:
        trainer.train_epoch()
    return trainer


def test_equals_the_textbook_loop(model_name):
    """Twenty steps of every registered model equal those with torch.optim to 1e-10 in float64."""
    spec = small_spec(model_name, lr_g=3e-4, lr_d=1e-4)
    data = random_batch(spec.image_size)
    trainer = Trainer([spec], data, CPU, F64)
    start = {
        net: {name: value[0].clone() for name, value in {**state.params, **state.buffers}.items()}
        for net, state in (("g", trainer.g), ("d", trainer.d))
    }
    expected, losses = textbook(spec, data.images, start, 20, data.labels)
    epochs = []
    while not trainer.finished:
        epochs += trainer.train_epoch()
    for name, value in tensors(trainer, 0).items():
        wanted = expected[name[0]][name[2:]]
        assert torch.allclose(value.to(F64), wanted.to(F64), rtol=1e-10, atol=1e-10), name
    means = np.array(losses[:8]).mean(0)
    assert (epochs[0].d_loss, epochs[0].g_loss) == pytest.approx(means, abs=1e-10)


def test_lanes_equal_solo_runs(model_name):
    """Four lanes with different seeds and rates equal four single runs in float64."""
    specs = [
        small_spec(model_name, seed=seed, lr_g=lr_g, lr_d=lr_d)
        for lr_g, lr_d in ((1e-4, 1e-4), (4e-4, 2e-4))
        for seed in (0, 5)
    ]
    data = random_batch(specs[0].image_size)
    together = trained(specs, data)
    for lane, spec in enumerate(specs):
        alone = tensors(trained([spec], data), 0)
        for name, value in tensors(together, lane).items():
            assert torch.allclose(value.to(F64), alone[name].to(F64), rtol=1e-9, atol=1e-9), (spec.run_id, name)


def test_seeds_and_learning_rates_change_the_weights():
    """Otherwise the equalities above would hold for a trainer that does nothing."""
    data = random_batch(28)
    runs = [
        tensors(trained([spec], data), 0)["g.0.weight"]
        for spec in (small_spec("vanilla"), small_spec("vanilla", seed=1), small_spec("vanilla", lr_g=1e-3))
    ]
    assert not torch.allclose(runs[0], runs[1])
    assert not torch.allclose(runs[0], runs[2], atol=1e-6)


@pytest.mark.parametrize("lanes", [1, 2])
def test_resuming_is_bit_identical(model_name, lanes):
    """A trainer restored from its lanes' checkpoints ends as an uninterrupted one."""
    specs = [small_spec(model_name, seed=seed) for seed in range(lanes)]
    data = random_batch(specs[0].image_size)
    whole = trained(specs, data, torch.float32)
    first = Trainer(specs, data, CPU)
    first.train_epoch()
    second = Trainer(specs, data, CPU)
    for lane in range(lanes):
        second.load_state(lane, first.state(lane))
    while not second.finished:
        second.train_epoch()
    for lane in range(lanes):
        resumed = second.state(lane)
        for name, array in whole.state(lane).arrays.items():
            assert np.array_equal(array, resumed.arrays[name]), name


def test_diverged_lane_does_not_affect_other_lanes():
    specs = [small_spec("dcgan28", seed=seed) for seed in (0, 1)]
    data = random_batch(28)
    clean, diverged = Trainer(specs, data, CPU), Trainer(specs, data, CPU)
    next(iter(diverged.g.params.values()))[1].fill_(math.nan)
    clean_epoch, diverged_epoch = clean.train_epoch(), diverged.train_epoch()
    assert math.isnan(diverged_epoch[1].g_loss)
    assert diverged_epoch[0].g_loss == clean_epoch[0].g_loss
    for name, array in clean.state(0).arrays.items():
        assert np.array_equal(array, diverged.state(0).arrays[name]), name


def test_length_in_epochs_and_in_steps():
    data = random_batch(28)
    by_epochs = trained([small_spec("vanilla", steps=None, epochs=2)], data, torch.float32)
    assert (by_epochs.step, by_epochs.epoch) == (16, 2)
    by_steps = trained([small_spec("vanilla", steps=11)], data, torch.float32)
    assert (by_steps.step, by_steps.epoch) == (11, 2)


def test_batch_larger_than_the_data_is_an_error():
    with pytest.raises(InputError, match=r"--batch-size 65: .* choose at most 64"):
        Trainer([small_spec("vanilla", batch_size=65)], random_batch(28), CPU)


@pytest.mark.parametrize("precision", ["tf32", "bf16"])
def test_losses_of_other_precisions_are_near_fp32(precision):
    """Losses agree to the rounding error of the precision, and parameters are kept in fp32."""
    data = random_batch(28)
    exact = Trainer([small_spec("dcgan28")], data, CPU)
    rounded = Trainer([small_spec("dcgan28", precision=precision)], data, CPU)
    allowed = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    assert allowed == ((precision == "tf32"),) * 2
    one, other = rounded.train_epoch()[0].d_loss, exact.train_epoch()[0].d_loss
    assert one == pytest.approx(other, rel=2e-2)
    assert (one != other) is (precision == "bf16"), "a CPU has no tf32"
    assert all(value.dtype == torch.float32 for value in rounded.g.params.values())


def test_batch_of_several_updates_of_d_larger_than_the_data_is_an_error():
    spec = small_spec("vanilla", loss="wgan-gp", penalty="gp", batch_size=13)
    with pytest.raises(InputError, match=r"--batch-size 13: .* \(a step takes 5 batches\); choose at most 12"):
        Trainer([spec], random_batch(28), CPU)


def test_unused_parameters_of_a_module_stay(plugins):
    trainer = trained([small_spec("test-layer-norm")], random_batch(28))
    assert trainer.d.params["unused"].eq(1).all()


def test_unknown_setting_is_an_error():
    spec = small_spec("vanilla", penalty="r1")
    spec = spec.model_copy(update={"settings": {**spec.settings, "r1_weigt": 1.0}})
    with pytest.raises(InputError, match=r"unknown setting of vanilla\+r1 'r1_weigt': did you mean r1_weight"):
        Trainer([spec], random_batch(28), CPU)
