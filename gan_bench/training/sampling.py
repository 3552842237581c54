"""Sampling: images of a trained generator, from a trainer or from a checkpoint."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torchvision.utils import make_grid

from gan_bench.core.errors import GanBenchError, InputError
from gan_bench.core.evaluation_spec import SAMPLE_BATCH, STANDING_BATCHES
from gan_bench.core.option_fields import BatchNormStatistics
from gan_bench.core.records import Checkpoint
from gan_bench.core.training_spec import Recipe, TrainingSpec
from gan_bench.devices import numerics
from gan_bench.models.base import build_model
from gan_bench.training import state
from gan_bench.training.checkpoint_fit import require_generator_fit
from gan_bench.training.cpu_kernels import CPUKernels
from gan_bench.training.lanes.batched_net import BatchedNet
from gan_bench.training.rng import latent_noise, make_rng

if TYPE_CHECKING:
    from gan_bench.core.records import Images

GRID_SIDE = 8
MAX_GRID_ROWS = 16
NOISE_BLOCK = 500
"""Rows of noise that are drawn at once, whatever the number of images."""


class NonFiniteImagesError(GanBenchError):
    """A generator returned NaN or infinity in evaluation mode: there are no images to show or to score."""


def evaluation_stream(draw: int) -> str:
    """Return the random stream of one of the independent sample sets that a generator is evaluated on."""
    return "evaluation" if draw == 0 else f"evaluation-{draw}"


class Sampler:
    """Samples images of one generator in its parameters' dtype, whatever the precision of training.

    `net` is called in evaluation mode, SAMPLE_BATCH images at a time, with `tensors` [1, ...]: parameters and
    buffers, which are not changed. `batch_norm` selects the statistics of BatchNorm layers:

    - `running`: running averages of training
    - `batch`: those of each batch of SAMPLE_BATCH samples
    - `standing`: averages over STANDING_BATCHES batches from the stream "standing" (BigGAN, arXiv 1809.11096),
      accumulated at the first call

    The generator of a conditional model needs `labels`, int64 [N]: those of the training images, from which labels
    of samples are drawn, so that classes have the same shares.
    """

    def __init__(
        self,
        net: BatchedNet,
        tensors: state.Tensors,
        recipe: Recipe,
        seed: int,
        batch_norm: BatchNormStatistics = "running",
        labels: Tensor | None = None,
    ) -> None:
        self._net, self._tensors, self._recipe, self._seed = net, tensors, recipe, seed
        self._batch_norm = batch_norm
        self._layers = [
            (name, layer)
            for name, layer in net.module.named_modules()
            if isinstance(layer, torch.nn.modules.batchnorm._BatchNorm)
        ]
        first = next(tensor for tensor in tensors.values() if tensor.is_floating_point())  # counters are integers
        self._device, self._dtype = first.device, first.dtype
        self._standing: state.Tensors | None = None
        self._labels = labels

    @torch.inference_mode()
    def sample(self, count: int, stream: str, seed: int | None = None, classes: Tensor | None = None) -> Tensor:
        """Return uint8 images [count, C, H, W], on the device, from a fresh random stream.

        `seed` is the run's by default. `classes`, int64 [count], are those of a conditional model's images; they
        are drawn by default (see `draw_labels`). Equal calls return equal images. Raises NonFiniteImagesError
        where a pixel of one of them is NaN or infinite.
        """
        drawn = count
        if self._batch_norm == "batch" and self._layers:  # only full batches: statistics depend on the batch size
            drawn = -(-count // SAMPLE_BATCH) * SAMPLE_BATCH
        seed = self._seed if seed is None else seed
        noise, labels = self._noise(drawn, stream, seed), self.draw_labels(drawn, stream, seed)
        if labels is not None and classes is not None:
            labels = classes.to(self._device)[torch.arange(drawn, device=self._device) % count]
        with self._evaluation_mode():
            if self._batch_norm == "standing" and self._layers:
                tensors = self._standing = self._standing or self._accumulate()
            else:
                tensors = self._tensors
            images = [self._forward(tensors, *part) for part in _batches(noise, labels)]
        floats = torch.cat([part.float().add(1).mul(127.5) for part in images])[:count]
        finite = floats.isfinite().flatten(1).all(1)
        if not finite.all():
            raise NonFiniteImagesError(
                f"NaN or infinity in {count - int(finite.sum())} of {count} images sampled in evaluation mode"
            )
        return floats.round_().clamp_(0, 255).to(torch.uint8)

    def _noise(self, count: int, stream: str, seed: int) -> Tensor:
        """Return noise [count, Z] in whole blocks: torch draws other numbers for another number of elements."""
        rng = make_rng(seed, stream, self._device)
        shape, blocks = (NOISE_BLOCK, self._recipe.z_dim), -(-count // NOISE_BLOCK)
        drawn = [latent_noise(self._recipe.noise, shape, rng, self._dtype) for _ in range(blocks)]
        return torch.cat(drawn)[:count]

    def draw_labels(self, count: int, stream: str, seed: int | None = None) -> Tensor | None:
        """Return the labels [count] of the images of a stream, with the shares of the training images' classes.

        None for a model that is not conditional.
        """
        if self._labels is None:
            return None
        rng = make_rng(self._seed if seed is None else seed, f"{stream}-labels", self._device)
        blocks = -(-count // NOISE_BLOCK)
        drawn = [
            torch.randint(len(self._labels), (NOISE_BLOCK,), generator=rng, device=self._device)
            for _ in range(blocks)
        ]
        return self._labels[torch.cat(drawn)[:count]]

    def sample_grid(self) -> Tensor:
        """Return the images of a grid, uint8 [n, C, H, W], for the run's fixed noise.

        There are GRID_SIDE rows of as many images; of a conditional model, one row for each of its first
        MAX_GRID_ROWS classes.
        """
        if self._labels is None:
            return self.sample(GRID_SIDE**2, "grid")
        classes = torch.unique(self._labels)[:MAX_GRID_ROWS].repeat_interleave(GRID_SIDE)
        return self.sample(len(classes), "grid", classes=classes)

    def _forward(self, tensors: state.Tensors, *inputs: Tensor) -> Tensor:
        if self._batch_norm == "batch":  # a forward in training mode updates running statistics: of copies
            tensors = {**tensors, **self._statistics()}
            self._train_batch_norm(True)
        return self._net.plain(tensors, *(value.unsqueeze(0) for value in inputs)).squeeze(0)

    def _accumulate(self) -> state.Tensors:
        """Return the tensors with standing statistics: reset, then cumulative averages in training mode."""
        tensors = {**self._tensors, **self._statistics()}
        momenta = [layer.momentum for _, layer in self._layers]
        self._train_batch_norm(True)
        count = STANDING_BATCHES * SAMPLE_BATCH
        noise, labels = self._noise(count, "standing", self._seed), self.draw_labels(count, "standing")
        try:
            for number, part in enumerate(_batches(noise, labels), start=1):
                for _, layer in self._layers:
                    layer.momentum = 1 / number  # the first batch replaces the statistics of training
                self._net.plain(tensors, *(value.unsqueeze(0) for value in part))
        finally:
            for (_, layer), momentum in zip(self._layers, momenta, strict=True):
                layer.momentum = momentum
            self._train_batch_norm(False)
        return tensors

    def _statistics(self) -> state.Tensors:
        """Return copies of the buffers of BatchNorm layers."""
        names = [f"{prefix}.{name}" for prefix, layer in self._layers for name, _ in layer.named_buffers()]
        return {name: self._tensors[name].clone() for name in names}

    def _train_batch_norm(self, on: bool) -> None:
        for _, layer in self._layers:
            layer.train(on)

    @contextmanager
    def _evaluation_mode(self) -> Iterator[None]:
        module = self._net.module
        before = module.training
        module.eval()
        try:
            with numerics.full_precision(self._device):
                yield
        finally:
            module.train(before)


def load_sampler(
    spec: TrainingSpec,
    checkpoint: Checkpoint,
    device: torch.device,
    batch_norm: BatchNormStatistics = "running",
    *,
    cpu_kernels: CPUKernels = "auto",
    labels: Tensor | None = None,
) -> Sampler:
    """Return a sampler of a checkpoint's generator; on a CPU its images are bit-identical to the trainer's.

    `labels` are those of the training images, for a conditional model; without them all classes are equally
    frequent. Raises ReadError for a checkpoint that does not fit the spec's generator.
    """
    model = build_model(spec)
    structure = state.structure(model.generator)
    require_generator_fit(spec, structure, checkpoint)
    net = BatchedNet(structure, device, cpu_kernels)
    tensors = {
        name.split(".", 2)[2]: state.lay_out(torch.from_numpy(np.array(array)).to(device).unsqueeze(0), lanes=1)
        for name, array in checkpoint.arrays.items()
        if name.startswith(("g.params.", "g.buffers."))
    }
    if not model.conditional:
        labels = None
    elif labels is None:
        labels = torch.arange(model.n_classes)
    return Sampler(
        net, tensors, model.recipe, spec.seed, batch_norm, None if labels is None else labels.to(device)
    )


def _batches(noise: Tensor, labels: Tensor | None) -> Iterator[tuple[Tensor, ...]]:
    """Yield the inputs of G, SAMPLE_BATCH at a time."""
    if labels is None:
        yield from zip(torch.split(noise, SAMPLE_BATCH))
    else:
        yield from zip(torch.split(noise, SAMPLE_BATCH), torch.split(labels, SAMPLE_BATCH), strict=True)


def sample_grid(
    spec: TrainingSpec, checkpoint: Checkpoint, count: int, seed: int, label: int | None = None
) -> Images:
    """Return a grid of `count` images, sampled on the CPU from a checkpoint's generator with noise of `seed`.

    `label` is the class of all images of a conditional model; by default there are `count` of random classes.
    Raises InputError for a class that the model does not have.
    """
    classes = None
    if label is not None:
        require_class(spec, label)
        classes = torch.full((count,), label)
    sampler = load_sampler(spec, checkpoint, torch.device("cpu"))
    return image_grid(sampler.sample(count, "sample", seed, classes))


def require_class(spec: TrainingSpec, label: int) -> None:
    """Raise InputError for a class that a run's model does not have."""
    if not spec.n_classes:
        raise InputError(f"--class {label}: model {spec.model} is not conditional on a class; omit --class")
    if not 0 <= label < spec.n_classes:
        raise InputError(
            f"--class {label}: {spec.dataset} has classes 0 to {spec.n_classes - 1}; type one of them"
        )


def image_grid(images: Tensor) -> Images:
    """Return uint8 images [n, C, H, W] as one grid, 8 per row with 2 pixels between: [H, W] or [H, W, 3]."""
    grid = make_grid(images.cpu(), nrow=GRID_SIDE, padding=2)
    pixels: Images = (grid[0] if images.shape[1] == 1 else grid.permute(1, 2, 0)).contiguous().numpy()
    return pixels
