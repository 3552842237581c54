"""A training step: `d_steps` updates of the discriminator and one of the generator, as a function of tensors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gan_bench.data.batch import Batch
from gan_bench.losses.base import Loss
from gan_bench.models.base import Model
from gan_bench.models.conditional import CONTAINERS, ClassEmbedding
from gan_bench.models.dropout import Dropout
from gan_bench.penalties.base import Penalty
from gan_bench.training.cpu_kernels import CPUKernels
from gan_bench.training.lanes.batched_net import BatchedNet
from gan_bench.training.precision import cast
from gan_bench.training.state import NetState, Tensors
from gan_bench.training.step_noise import PenaltyNoise, StepNoise

MEASURES = ("d_loss", "g_loss", "d_real_accuracy", "d_fake_accuracy")


class Optimizer(Protocol):
    """Updates one network's parameters in place."""

    def step(self, gradients: Sequence[Tensor]) -> None:
        """Take gradients [lanes, ...] in the order of the parameters."""


PER_SAMPLE = (
    *CONTAINERS,
    nn.Linear,
    nn.Conv2d,
    nn.LeakyReLU,
    nn.ReLU,
    nn.Flatten,
    nn.Unflatten,
    nn.Identity,
    Dropout,
    ClassEmbedding,
)
"""Layers that treat every image of a batch by itself."""


class Step:
    """Updates of D, then one of G on the last fakes, with D frozen.

    Real and fake images are separate batches to D, as in DCGAN, so that BatchNorm's statistics don't mix. Where
    every layer of D is known to treat images one by one, both are one batch: the same values, faster. The update
    of G uses the fakes of the last update of D, and computes no gradient of D's weights.

    Networks of a conditional model get the labels of the batch, and fakes have those of the real images. Where D
    has an auxiliary classifier, its cross-entropy on real and on fake images is added to D's loss, and on fake
    images to G's (arXiv 1610.09585).
    """

    def __init__(
        self,
        model: Model,
        g: nn.Module,
        d: nn.Module,
        loss: Loss,
        penalty: Penalty | None,
        dtype: torch.dtype,
        device: torch.device,
        cpu_kernels: CPUKernels = "auto",
    ) -> None:
        self._joint = all(type(layer) in PER_SAMPLE for layer in d.modules())
        self.g, self.d = BatchedNet(g, device, cpu_kernels), BatchedNet(d, device, cpu_kernels)
        self.loss, self.penalty = loss, penalty
        self._class_weight = model.class_weight
        self._g_labels = model.conditional
        self._d_labels = model.conditional and model.class_weight is None
        self._n_classes = model.n_classes
        self.dtype = dtype
        self._keep_g, self._keep_d = self.g.full_precision_names, self.d.full_precision_names

    def prepare_lanes(
        self, g: NetState, d: NetState, noise_shape: tuple[int, ...], image_shape: tuple[int, ...]
    ) -> None:
        """Choose how networks without batched layers are called on several lanes (see BatchedNet).

        Shapes are those of one lane's noise [B, Z] and images [B, C, H, W].
        """
        g_classes, d_classes = (self._n_classes if used else 0 for used in (self._g_labels, self._d_labels))
        weights = {**cast(g.params, self._keep_g, self.dtype), **g.buffers}
        self.g.choose_lifting(weights, noise_shape, self.dtype, g_classes)
        weights = {**cast(d.params, self._keep_d, self.dtype), **d.buffers}
        self.d.choose_lifting(weights, image_shape, self.dtype, d_classes)

    def __call__(
        self,
        g: NetState,
        d: NetState,
        g_adam: Optimizer,
        d_adam: Optimizer,
        inputs: Iterable[tuple[Batch, StepNoise]],
        penalties: Sequence[PenaltyNoise | None],
    ) -> Tensor:
        """Update both networks in place and return MEASURES [4, lanes], detached; those of D are means.

        `inputs` and `penalties` have one entry for each update of D: a batch of images uint8 [lanes, B, C, H, W]
        and labels [lanes, B] or None, its noise, and random numbers for the penalty, or None to leave it out.
        """
        g_params = _leaves(cast(g.params, self._keep_g, self.dtype))
        measured = []
        for remaining, penalty_noise, (batch, noise) in zip(
            reversed(range(len(penalties))), penalties, inputs, strict=True
        ):
            images, labels = batch.images.to(self.dtype).div_(127.5).sub_(1), batch.labels
            with torch.set_grad_enabled(not remaining):
                fakes = self._call_g({**g_params, **g.buffers}, noise.noise.to(self.dtype), labels)
            shown = fakes.detach()
            measured.append(self._update_d(d, d_adam, images, shown, labels, noise, penalty_noise))

        dtype = noise.noise.dtype
        frozen = {**cast(d.params, self._keep_d, self.dtype), **d.buffers}
        shown.requires_grad_()
        real_logits = None
        if self.loss.uses_real_in_generator:
            real_outputs, fake_outputs = self._outputs(frozen, noise.g_masks, images, shown, labels, dtype)
            real_logits = self._logits(real_outputs)
        else:
            fake_outputs = self._call_d({**frozen, **noise.g_masks}, shown, labels).to(dtype)
        g_loss = self.loss.generator(real_logits, self._logits(fake_outputs))
        if self._class_weight is not None:
            g_loss = g_loss + self._class_weight * _cross_entropy(fake_outputs, labels)
        (towards,) = torch.autograd.grad(g_loss.sum(), shown)
        g_adam.step(torch.autograd.grad(fakes, list(g_params.values()), towards, materialize_grads=True))

        with torch.no_grad():
            rows = [torch.stack([d_loss, g_loss, real, fake]) for d_loss, real, fake in measured]
            return (rows[0] if len(rows) == 1 else torch.stack(rows).mean(0)).detach()

    def _update_d(
        self,
        d: NetState,
        d_adam: Optimizer,
        real: Tensor,
        fake: Tensor,
        labels: Tensor | None,
        noise: StepNoise,
        penalty_noise: PenaltyNoise | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Update D and return its loss and its accuracies on real and on fake images, each [lanes]."""
        params = _leaves(cast(d.params, self._keep_d, self.dtype))
        weights = {**params, **d.buffers}
        dtype = noise.noise.dtype
        outputs = self._outputs(weights, noise.d_masks, real, fake, labels, dtype)
        real_logits, fake_logits = map(self._logits, outputs)
        loss = self.loss.discriminator(real_logits, fake_logits)
        if self._class_weight is not None:
            loss = loss + self._class_weight * sum(_cross_entropy(each, labels) for each in outputs)
        if penalty_noise is not None:
            loss = loss + self._penalty(weights, real.to(dtype), fake.to(dtype), labels, penalty_noise)
        d_adam.step(torch.autograd.grad(loss.sum(), list(params.values()), materialize_grads=True))
        with torch.no_grad():
            limit, boundary = self.loss.weight_limit, self.loss.decision_boundary
            if limit is not None:
                torch._foreach_clamp_min_(list(d.params.values()), -limit)
                torch._foreach_clamp_max_(list(d.params.values()), limit)
            real_accuracy = (real_logits > boundary).to(dtype).mean(-1)
            return loss.detach(), real_accuracy, (fake_logits < boundary).to(dtype).mean(-1)

    def _penalty(
        self, weights: Tensors, real: Tensor, fake: Tensor, labels: Tensor | None, noise: PenaltyNoise
    ) -> Tensor:
        """Return the penalty [lanes], multiplied by its interval."""
        penalty = self.penalty
        assert penalty is not None

        def d(images: Tensor) -> Tensor:
            tensors = {**weights, **noise.masks(images.shape[1])}
            given = (labels,) if labels is not None and self._d_labels else ()
            return self._logits(self.d.plain(tensors, images.to(self.dtype), *given)).to(images.dtype)

        value = penalty(d, real, fake, noise)
        return value if penalty.interval == 1 else value * penalty.interval

    def _outputs(
        self,
        weights: Tensors,
        masks: Tensors,
        real: Tensor,
        fake: Tensor,
        labels: Tensor | None,
        dtype: torch.dtype,
    ) -> tuple[Tensor, Tensor]:
        """Return D's outputs [lanes, B, ...] for real and for fake images."""
        if self._joint:
            both = {name: mask.flatten(1, 2) for name, mask in masks.items()}
            twice = torch.cat([labels, labels], dim=1) if labels is not None and self._d_labels else None
            outputs = self._call_d({**weights, **both}, torch.cat([real, fake], dim=1), twice).to(dtype)
            return outputs[:, : real.shape[1]], outputs[:, real.shape[1] :]
        halves = ({name: mask[:, half] for name, mask in masks.items()} for half in (0, 1))
        return (
            self._call_d({**weights, **next(halves)}, real, labels).to(dtype),
            self._call_d({**weights, **next(halves)}, fake, labels).to(dtype),
        )

    def _logits(self, outputs: Tensor) -> Tensor:
        """Return the logits [lanes, B] of D's outputs: the first of each image where class logits follow."""
        return outputs if self._class_weight is None else outputs[..., 0]

    def _call_g(self, tensors: Tensors, noise: Tensor, labels: Tensor | None) -> Tensor:
        given = (labels,) if labels is not None and self._g_labels else ()
        return self.g(tensors, noise, *given)

    def _call_d(self, tensors: Tensors, images: Tensor, labels: Tensor | None) -> Tensor:
        given = (labels,) if labels is not None and self._d_labels else ()
        return self.d(tensors, images, *given)


def _cross_entropy(outputs: Tensor, labels: Tensor | None) -> Tensor:
    """Return the mean cross-entropy [lanes] of class logits, the last of outputs [lanes, B, 1 + n_classes]."""
    assert labels is not None
    classes = outputs[..., 1:]
    losses = F.cross_entropy(classes.flatten(0, 1), labels.flatten(), reduction="none")
    return losses.view(labels.shape).mean(-1)


def _leaves(params: Tensors) -> Tensors:
    """Return the same values as leaves that require gradients."""
    return {name: value.detach().requires_grad_() for name, value in params.items()}
