"""A training step: `d_steps` updates of the discriminator and one of the generator, as a function of tensors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from gan_bench.data.batch import Batch
from gan_bench.losses.base import Loss
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


PER_SAMPLE = (nn.Sequential, nn.Linear, nn.Conv2d, nn.LeakyReLU, nn.ReLU, nn.Flatten, nn.Unflatten, Dropout)
"""Layers that treat every image of a batch by itself."""


class Step:
    """Updates of D, then one of G on the last fakes, with D frozen.

    Real and fake images are separate batches to D, as in DCGAN, so that BatchNorm's statistics don't mix. Where
    every layer of D is known to treat images one by one, both are one batch: the same values, faster. The update
    of G uses the fakes of the last update of D, and computes no gradient of D's weights.

    Labels are part of the batch, but no model is conditional yet: the networks don't get them.
    """

    def __init__(
        self,
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
        self.dtype = dtype
        self._keep_g, self._keep_d = self.g.full_precision_names, self.d.full_precision_names

    def prepare_lanes(
        self, g: NetState, d: NetState, noise_shape: tuple[int, ...], image_shape: tuple[int, ...]
    ) -> None:
        """Choose how networks without batched layers are called on several lanes (see BatchedNet).

        Shapes are those of one lane's noise [B, Z] and images [B, C, H, W].
        """
        self.g.choose_lifting({**cast(g.params, self._keep_g, self.dtype), **g.buffers}, noise_shape, self.dtype)
        self.d.choose_lifting({**cast(d.params, self._keep_d, self.dtype), **d.buffers}, image_shape, self.dtype)

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
            images = batch.images.to(self.dtype).div_(127.5).sub_(1)
            with torch.set_grad_enabled(not remaining):
                fakes = self.g({**g_params, **g.buffers}, noise.noise.to(self.dtype))
            shown = fakes.detach()
            measured.append(self._update_d(d, d_adam, images, shown, noise, penalty_noise))

        dtype = noise.noise.dtype
        frozen = {**cast(d.params, self._keep_d, self.dtype), **d.buffers}
        shown.requires_grad_()
        real_logits = None
        if self.loss.uses_real_in_generator:
            real_logits, fake_logits = self._logits(frozen, noise.g_masks, images, shown, dtype)
        else:
            fake_logits = self.d({**frozen, **noise.g_masks}, shown).to(dtype)
        g_loss = self.loss.generator(real_logits, fake_logits)
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
        noise: StepNoise,
        penalty_noise: PenaltyNoise | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Update D and return its loss and its accuracies on real and on fake images, each [lanes]."""
        params = _leaves(cast(d.params, self._keep_d, self.dtype))
        weights = {**params, **d.buffers}
        dtype = noise.noise.dtype
        real_logits, fake_logits = self._logits(weights, noise.d_masks, real, fake, dtype)
        loss = self.loss.discriminator(real_logits, fake_logits)
        if penalty_noise is not None:
            loss = loss + self._penalty(weights, real.to(dtype), fake.to(dtype), penalty_noise)
        d_adam.step(torch.autograd.grad(loss.sum(), list(params.values()), materialize_grads=True))
        with torch.no_grad():
            limit, boundary = self.loss.weight_limit, self.loss.decision_boundary
            if limit is not None:
                torch._foreach_clamp_min_(list(d.params.values()), -limit)
                torch._foreach_clamp_max_(list(d.params.values()), limit)
            real_accuracy = (real_logits > boundary).to(dtype).mean(-1)
            return loss.detach(), real_accuracy, (fake_logits < boundary).to(dtype).mean(-1)

    def _penalty(self, weights: Tensors, real: Tensor, fake: Tensor, noise: PenaltyNoise) -> Tensor:
        """Return the penalty [lanes], multiplied by its interval."""
        penalty = self.penalty
        assert penalty is not None

        def d(images: Tensor) -> Tensor:
            tensors = {**weights, **noise.masks(images.shape[1])}
            return self.d.plain(tensors, images.to(self.dtype)).to(images.dtype)

        value = penalty(d, real, fake, noise)
        return value if penalty.interval == 1 else value * penalty.interval

    def _logits(
        self, weights: Tensors, masks: Tensors, real: Tensor, fake: Tensor, dtype: torch.dtype
    ) -> tuple[Tensor, Tensor]:
        """Return the logits [lanes, B] of real and of fake images."""
        if self._joint:
            both = {name: mask.flatten(1, 2) for name, mask in masks.items()}
            logits = self.d({**weights, **both}, torch.cat([real, fake], dim=1)).to(dtype)
            return logits[:, : real.shape[1]], logits[:, real.shape[1] :]
        halves = ({name: mask[:, half] for name, mask in masks.items()} for half in (0, 1))
        return (
            self.d({**weights, **next(halves)}, real).to(dtype),
            self.d({**weights, **next(halves)}, fake).to(dtype),
        )


def _leaves(params: Tensors) -> Tensors:
    """Return the same values as leaves that require gradients."""
    return {name: value.detach().requires_grad_() for name, value in params.items()}
