"""Samples of a trainer and of a checkpoint, and the statistics that BatchNorm layers use."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers.training_cases import CPU, random_batch, small_spec
from torch import nn

from gan_bench.core.errors import InputError
from gan_bench.core.records import Checkpoint
from gan_bench.models.base import build_model
from gan_bench.training import precision, sampling
from gan_bench.training.rng import latent_noise, make_rng
from gan_bench.training.sampling import (
    NonFiniteImagesError,
    evaluation_stream,
    image_grid,
    load_sampler,
    sample_grid,
)
from gan_bench.training.trainer import Trainer

SAMPLE_BATCH = 16


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "SAMPLE_BATCH", SAMPLE_BATCH)
    monkeypatch.setattr(sampling, "STANDING_BATCHES", 5)


def trained(name: str, seeds: tuple[int, ...] = (0,)) -> Trainer:
    specs = [small_spec(name, seed=seed) for seed in seeds]
    trainer = Trainer(specs, random_batch(specs[0].image_size), CPU)
    trainer.train_epoch()
    return trainer


def plain_generator(trainer: Trainer, lane: int = 0) -> nn.Module:
    """The generator as PyTorch runs it, with the lane's weights."""
    net = build_model(trainer.specs[lane]).generator()
    net.load_state_dict({name: value[lane] for name, value in {**trainer.g.params, **trainer.g.buffers}.items()})
    return net


def noise(trainer: Trainer, count: int, stream: str) -> torch.Tensor:
    """The first rows of a block."""
    shape = (sampling.NOISE_BLOCK, trainer.recipe.z_dim)
    rng = make_rng(trainer.specs[0].seed, stream, CPU)
    return latent_noise(trainer.recipe.noise, shape, rng, torch.float32)[:count]


def assert_same_images(found: torch.Tensor, images: torch.Tensor) -> None:
    """Equal but for the rounding of a pixel: convolutions may sum in another order."""
    expected = ((images + 1) * 127.5).round().clamp(0, 255)
    assert (found.float() - expected).abs().max() <= 1
    assert (found.float() != expected).float().mean() < 0.01


def test_samples_are_uint8_images_and_repeat(model_name):
    trainer = trained(model_name)
    for weight in trainer.g.params.values():
        weight.mul_(3)  # so that images of the deepest network differ by more than their rounding
    size = trainer.specs[0].image_size
    first, again = (trainer.sampler(0).sample(9, "grid") for _ in range(2))
    assert first.dtype == torch.uint8
    assert first.shape == (9, 1, size, size)
    assert torch.equal(first, again)
    assert not torch.equal(first, trainer.sampler(0).sample(9, "evaluation"))
    assert not torch.equal(first, trainer.sampler(0).sample(9, "grid", seed=5))


@pytest.mark.parametrize("batch_norm", ["running", "batch", "standing"])
def test_the_first_images_do_not_depend_on_the_count(batch_norm):
    """z_dim is 12: torch's normal numbers differ where their count is no multiple of 16."""
    sampler = trained("dcgan28").sampler(0, batch_norm)
    many = sampler.sample(sampling.NOISE_BLOCK + 3, "sample")
    for count in (1, 3, 64):
        assert_same_images(sampler.sample(count, "sample"), many[:count].float() / 127.5 - 1)


def test_sampling_changes_no_state(model_name):
    trainer = trained(model_name)
    before = trainer.state(0)
    for batch_norm in ("running", "batch", "standing"):
        trainer.sampler(0, batch_norm).sample(20, "grid")
    assert trainer.g_net.training
    assert all(layer.training for layer in trainer.g_net.modules())
    assert all(getattr(layer, "momentum", 1) in (1, 0.1, 0.01) for layer in trainer.g_net.modules())
    after = trainer.state(0)
    for name, array in before.arrays.items():
        assert np.array_equal(array, after.arrays[name]), name


@pytest.mark.parametrize("batch_norm", ["running", "batch", "standing"])
@pytest.mark.parametrize("lane", [0, 1])
def test_samples_of_a_checkpoint_are_bit_identical_to_the_trainers(model_name, lane, batch_norm):
    trainer = trained(model_name, (0, 3))
    expected = trainer.sampler(lane, batch_norm).sample(20, "evaluation")
    for checkpoint in (trainer.generator_state(lane), trainer.state(lane)):
        labels = trainer.data.labels
        sampler = load_sampler(trainer.specs[lane], checkpoint, CPU, batch_norm, labels=labels)
        assert torch.equal(sampler.sample(20, "evaluation"), expected)


def test_running_statistics_are_those_of_training():
    trainer = trained("dcgan28")
    with torch.no_grad():
        images = plain_generator(trainer).eval()(noise(trainer, 20, "grid"))
    assert_same_images(trainer.sampler(0).sample(20, "grid"), images)


def test_batch_statistics_are_those_of_each_full_batch():
    """A shorter last batch is part of a full one, so that images don't depend on the count."""
    trainer = trained("dcgan28")
    net = plain_generator(trainer).train()
    with torch.no_grad():
        images = torch.cat([net(part) for part in noise(trainer, 2 * SAMPLE_BATCH, "grid").split(SAMPLE_BATCH)])
    found = trainer.sampler(0, "batch").sample(20, "grid")
    assert_same_images(found, images[:20])
    assert torch.equal(found, trainer.sampler(0, "batch").sample(32, "grid")[:20])


def test_standing_statistics_are_cumulative_averages():
    """PyTorch's own cumulative averages (momentum=None) over batches from the stream "standing"."""
    trainer = trained("dcgan28")
    net = plain_generator(trainer).train()
    for layer in net.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            layer.reset_running_stats()
            layer.momentum = None
    with torch.no_grad():
        for part in noise(trainer, 5 * SAMPLE_BATCH, "standing").split(SAMPLE_BATCH):
            net(part)
        images = net.eval()(noise(trainer, 20, "grid"))
    sampler = trainer.sampler(0, "standing")
    assert_same_images(sampler.sample(20, "grid"), images)
    for name, value in net.named_buffers():
        if "running" in name:
            assert torch.allclose(sampler._standing[name][0], value, rtol=1e-4, atol=1e-6), name


def test_statistics_differ():
    trainer = trained("dcgan28")
    running, batch, standing = (
        trainer.sampler(0, kind).sample(20, "grid") for kind in ("running", "batch", "standing")
    )
    assert not torch.equal(running, batch)
    assert not torch.equal(running, standing)
    assert not torch.equal(batch, standing)


def test_models_without_batch_norm_are_independent_of_the_statistics():
    trainer = trained("vanilla")
    running, batch, standing = (
        trainer.sampler(0, kind).sample(20, "grid") for kind in ("running", "batch", "standing")
    )
    assert torch.equal(running, batch)
    assert torch.equal(running, standing)


@pytest.mark.parametrize("batch_norm", ["running", "batch", "standing"])
@pytest.mark.usefixtures("plugins")
def test_plugin_modules_are_sampled(batch_norm):
    trainer = trained("test-spectral", (0, 3))
    expected = trainer.sampler(1, batch_norm).sample(20, "evaluation")
    sampler = load_sampler(trainer.specs[1], trainer.generator_state(1), CPU, batch_norm)
    assert torch.equal(sampler.sample(20, "evaluation"), expected)


def test_samples_are_computed_in_the_parameters_dtype():
    """Scores belong to the weights: bf16 would round every pixel."""
    rounded, exact = (
        Trainer([small_spec("dcgan28", precision=p)], random_batch(28), CPU) for p in ("bf16", "fp32")
    )
    rounded.train_epoch()
    exact.load_state(0, rounded.state(0))
    assert torch.equal(rounded.sampler(0).sample(9, "evaluation"), exact.sampler(0).sample(9, "evaluation"))


def test_samples_are_computed_without_tf32():
    allowed = []
    try:
        trainer = Trainer([small_spec("vanilla", precision="tf32")], random_batch(28), CPU)
        handle = trainer.g_net[0].register_forward_pre_hook(
            lambda *args: allowed.append(torch.backends.cuda.matmul.allow_tf32)
        )
        trainer.sampler(0).sample(4, "evaluation")
        handle.remove()
        assert torch.backends.cuda.matmul.allow_tf32, "restored"
    finally:
        precision.set_matmul("fp32")
    assert allowed == [False]


def test_draws_of_an_evaluation_have_streams_of_their_own():
    assert [evaluation_stream(draw) for draw in range(3)] == ["evaluation", "evaluation-1", "evaluation-2"]


def test_labels_of_samples_have_the_shares_of_the_training_images():
    trainer = trained("cgan")
    trainer.data = random_batch(28)
    trainer.data.labels[:48] = 4
    sampler = trainer.sampler(0)
    labels = sampler.draw_labels(2000, "evaluation")
    assert abs((labels == 4).float().mean() - (trainer.data.labels == 4).float().mean()) < 0.05
    assert set(labels.tolist()) == set(trainer.data.labels.tolist())
    assert torch.equal(sampler.draw_labels(3, "evaluation"), labels[:3]), "whatever the count"
    assert not torch.equal(sampler.draw_labels(2000, "evaluation-1"), labels)
    assert trained("vanilla").sampler(0).draw_labels(3, "evaluation") is None


def test_samples_have_the_classes_that_were_asked_for():
    trainer = trained("cdcgan28")
    sampler = trainer.sampler(0)
    drawn = sampler.draw_labels(20, "grid")
    assert torch.equal(sampler.sample(20, "grid"), sampler.sample(20, "grid", classes=drawn))
    net = plain_generator(trainer).eval()
    with torch.no_grad():
        images = net(noise(trainer, 20, "grid"), torch.full((20,), 7))
    assert_same_images(sampler.sample(20, "grid", classes=torch.full((20,), 7)), images)


def test_a_grid_has_a_row_for_each_class():
    trainer = trained("cgan")
    grid = trainer.sampler(0).sample_grid()
    assert len(grid) == 10 * sampling.GRID_SIDE
    classes = torch.arange(10).repeat_interleave(sampling.GRID_SIDE)
    assert torch.equal(grid, trainer.sampler(0).sample(80, "grid", classes=classes))
    assert len(trained("vanilla").sampler(0).sample_grid()) == sampling.GRID_SIDE**2


@pytest.mark.parametrize(("model", "label"), [("vanilla", 0), ("cgan", -1), ("cgan", 10)])
def test_a_class_that_the_model_lacks_is_named(model, label):
    trainer = trained(model)
    with pytest.raises(InputError, match=f"--class {label}"):
        sample_grid(trainer.specs[0], trainer.generator_state(0), 9, seed=4, label=label)


def test_sample_grid_is_drawn_from_a_checkpoint():
    trainer = trained("dcgan28")
    checkpoint = trainer.generator_state(0)
    found = sample_grid(trainer.specs[0], checkpoint, 9, seed=4)
    expected = load_sampler(trainer.specs[0], checkpoint, CPU).sample(9, "sample", seed=4)
    assert np.array_equal(found, image_grid(expected))
    assert isinstance(checkpoint, Checkpoint)


@pytest.mark.parametrize(("channels", "shape"), [(1, (62, 242)), (3, (62, 242, 3))])
def test_image_grid_has_8_images_per_row(channels, shape):
    images = torch.randint(0, 256, (9, channels, 28, 28), dtype=torch.uint8)
    grid = image_grid(images)
    assert grid.shape == shape
    first = grid[2:30, 2:30]
    assert np.array_equal(first if channels == 1 else first.transpose(2, 0, 1)[0], images[0, 0].numpy())


def test_images_that_are_not_finite_are_refused():
    trainer = trained("vanilla", (0, 3))
    bias = [value for name, value in trainer.g.params.items() if name.endswith("bias")][-1]
    with torch.no_grad():
        bias[1, 5] = float("nan")
    assert trainer.sampler(0).sample(9, "grid").dtype == torch.uint8
    with pytest.raises(NonFiniteImagesError, match="NaN or infinity in 9 of 9 images sampled in evaluation mode"):
        trainer.sampler(1).sample(9, "grid")
