"""The trainer against its oracle, lanes against solo runs, and what a run leaves behind."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from oracle import textbook
from training_cases import CPU, random_images, small_spec

from gan_bench.errors import InputError
from gan_bench.training import precision
from gan_bench.training.trainer import Trainer

F64 = torch.float64


def tensors(trainer: Trainer, lane: int) -> dict[str, torch.Tensor]:
    return {
        f"{net}.{name}": value[lane]
        for net, state in (("g", trainer.g), ("d", trainer.d))
        for part in (state.params, state.buffers)
        for name, value in part.items()
    }


def trained(specs, images, dtype=F64) -> Trainer:
    trainer = Trainer(specs, images, CPU, dtype)
    while not trainer.finished:
        trainer.train_epoch()
    return trainer


def test_equals_the_textbook_loop(model_name):
    """Twenty steps of every registered model equal torch.optim's, step by step, to 1e-10 in float64."""
    spec = small_spec(model_name, lr_g=3e-4, lr_d=1e-4)
    images = random_images(spec.image_size)
    trainer = Trainer([spec], images, CPU, F64)
    start = {
        net: {name: value[0].clone() for name, value in {**state.params, **state.buffers}.items()}
        for net, state in (("g", trainer.g), ("d", trainer.d))
    }
    expected, losses = textbook(spec, images, start, 20)
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
    images = random_images(specs[0].image_size)
    together = trained(specs, images)
    for lane, spec in enumerate(specs):
        alone = tensors(trained([spec], images), 0)
        for name, value in tensors(together, lane).items():
            assert torch.allclose(value.to(F64), alone[name].to(F64), rtol=1e-9, atol=1e-9), (spec.run_id, name)


def test_seeds_and_rates_matter():
    """Otherwise the equalities above would hold for a trainer that does nothing."""
    images = random_images(28)
    runs = [
        tensors(trained([spec], images), 0)["g.0.weight"]
        for spec in (small_spec("vanilla"), small_spec("vanilla", seed=1), small_spec("vanilla", lr_g=1e-3))
    ]
    assert not torch.allclose(runs[0], runs[1])
    assert not torch.allclose(runs[0], runs[2], atol=1e-6)


@pytest.mark.parametrize("lanes", [1, 2])
def test_continues_bit_for_bit(model_name, lanes):
    """A trainer rebuilt from its lanes' checkpoints ends exactly where the undisturbed one does."""
    specs = [small_spec(model_name, seed=seed) for seed in range(lanes)]
    images = random_images(specs[0].image_size)
    whole = trained(specs, images, torch.float32)
    first = Trainer(specs, images, CPU)
    first.train_epoch()
    second = Trainer(specs, images, CPU)
    for lane in range(lanes):
        second.load_state_(lane, first.state(lane))
    while not second.finished:
        second.train_epoch()
    for lane in range(lanes):
        resumed = second.state(lane)
        for name, array in whole.state(lane).arrays.items():
            assert np.array_equal(array, resumed.arrays[name]), name


def test_a_lane_that_diverges_leaves_its_neighbours_alone():
    specs = [small_spec("dcgan28", seed=seed) for seed in (0, 1)]
    images = random_images(28)
    clean, spoilt = Trainer(specs, images, CPU), Trainer(specs, images, CPU)
    next(iter(spoilt.g.params.values()))[1].fill_(math.nan)
    clean_epoch, spoilt_epoch = clean.train_epoch(), spoilt.train_epoch()
    assert math.isnan(spoilt_epoch[1].g_loss)
    assert spoilt_epoch[0].g_loss == clean_epoch[0].g_loss
    for name, array in clean.state(0).arrays.items():
        assert np.array_equal(array, spoilt.state(0).arrays[name]), name


def test_steps_and_epochs_count_the_same():
    images = random_images(28)
    by_epochs = trained([small_spec("vanilla", steps=None, epochs=2)], images, torch.float32)
    assert (by_epochs.step, by_epochs.epoch) == (16, 2)
    by_steps = trained([small_spec("vanilla", steps=11)], images, torch.float32)
    assert (by_steps.step, by_steps.epoch) == (11, 2)


def test_batch_larger_than_the_data_is_refused():
    with pytest.raises(InputError, match=r"--batch-size 65 .* choose at most 64"):
        Trainer([small_spec("vanilla", batch_size=65)], random_images(28), CPU)


def test_samples_are_images_and_repeat(model_name):
    spec = small_spec(model_name)
    trainer = Trainer([spec], random_images(spec.image_size), CPU)
    trainer.train_epoch()
    first, again = trainer.sample(0, 9, "grid"), trainer.sample(0, 9, "grid")
    assert first.dtype == torch.uint8
    assert first.shape == (9, 1, spec.image_size, spec.image_size)
    assert torch.equal(first, again)
    assert not torch.equal(first, trainer.sample(0, 9, "evaluation"))


@pytest.mark.parametrize("precision", ["tf32", "bf16"])
def test_other_precisions_stay_near_fp32(precision):
    """Losses agree to the precision's own error, and parameters are kept in fp32."""
    images = random_images(28)
    exact = Trainer([small_spec("dcgan28")], images, CPU)
    rounded = Trainer([small_spec("dcgan28", precision=precision)], images, CPU)
    allowed = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    assert allowed == ((precision == "tf32"),) * 2
    one, other = rounded.train_epoch()[0].d_loss, exact.train_epoch()[0].d_loss
    assert one == pytest.approx(other, rel=2e-2)
    assert (one != other) is (precision == "bf16"), "a CPU has no tf32"
    assert all(value.dtype == torch.float32 for value in rounded.g.params.values())


def test_samples_are_computed_as_the_weights_are_kept():
    """Scores are of the weights: bf16's rounding would be in every pixel."""
    images = random_images(28)
    rounded, exact = (Trainer([small_spec("dcgan28", precision=p)], images, CPU) for p in ("bf16", "fp32"))
    rounded.train_epoch()
    exact.load_state_(0, rounded.state(0))
    assert torch.equal(rounded.sample(0, 9, "evaluation"), exact.sample(0, 9, "evaluation"))


def test_samples_are_drawn_in_true_fp32_whatever_the_precision(monkeypatch):
    allowed = []

    def watched(images, noise):
        allowed.append(torch.backends.cuda.matmul.allow_tf32)
        return images(noise)

    monkeypatch.setattr("gan_bench.training.trainer.draw", watched)
    try:
        trainer = Trainer([small_spec("vanilla", precision="tf32")], random_images(28), CPU)
        trainer.sample(0, 4, "eval")
        assert torch.backends.cuda.matmul.allow_tf32, "put back"
    finally:
        precision.set_matmul("fp32")
    assert allowed == [False]
