"""One update of the discriminator and one of the generator: the hot path, as an ordinary function of tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from gan_bench.losses.loss import Loss
from gan_bench.models.dropout import Dropout
from gan_bench.training.draws import Draws
from gan_bench.training.lanes import Lanes
from gan_bench.training.precision import cast
from gan_bench.training.state import NetState, Tensors, batch_norm_names

MEASURES = ("d_loss", "g_loss", "d_real_accuracy", "d_fake_accuracy")


class Optimiser(Protocol):
    """Updates one network's parameters in place."""

    def step_(self, gradients: Sequence[Tensor]) -> None:
        """Take gradients [lanes, ...] in the order of the parameters."""


PER_SAMPLE = (nn.Sequential, nn.Linear, nn.Conv2d, nn.LeakyReLU, nn.ReLU, nn.Flatten, nn.Unflatten, Dropout)
"""Layers that treat every image of a batch by itself."""


class Step:
    """D + G step with the fakes drawn once and D frozen in the generator's half.

    Real and fake images are separate batches to D, as in DCGAN, so that BatchNorm's statistics don't mix. Where
    every layer of D is known to treat images one by one, both go through it in one call: the same, and faster.
    The generator's half asks the updated D about the same fakes and computes no gradient of D's weights.
    """

    def __init__(self, g: nn.Module, d: nn.Module, loss: Loss, dtype: torch.dtype, device: torch.device) -> None:
        self._joint = all(type(layer) in PER_SAMPLE for layer in d.modules())
        self.g, self.d = Lanes(g, device), Lanes(d, device)
        self.loss = loss
        self.dtype = dtype
        self._keep_g, self._keep_d = batch_norm_names(g), batch_norm_names(d)

    def compile(self, on: bool) -> None:
        """Let torch.compile fuse both networks' layers at the next steps, or no longer."""
        self.g.compile(on)
        self.d.compile(on)

    def __call__(
        self, g: NetState, d: NetState, g_adam: Optimiser, d_adam: Optimiser, real: Tensor, draws: Draws
    ) -> Tensor:
        """Update both networks in place and return MEASURES [4, lanes], detached.

        `real` is uint8 [lanes, B, C, H, W].
        """
        images = real.to(self.dtype).div_(127.5).sub_(1)
        g_params = _leaves(cast(g.params, self._keep_g, self.dtype))
        d_params = _leaves(cast(d.params, self._keep_d, self.dtype))

        fakes = self.g({**g_params, **g.buffers}, draws.noise.to(self.dtype))
        shown = fakes.detach()
        weights = {**d_params, **d.buffers}
        real_logits, fake_logits = self._judge(weights, draws.d_masks, images, shown, draws.noise.dtype)
        d_loss = self.loss.discriminator(real_logits, fake_logits)
        d_adam.step_(torch.autograd.grad(d_loss.sum(), list(d_params.values())))

        frozen = {**cast(d.params, self._keep_d, self.dtype), **d.buffers}
        shown.requires_grad_()
        g_loss = self.loss.generator(self.d({**frozen, **draws.g_masks}, shown).to(draws.noise.dtype))
        (towards,) = torch.autograd.grad(g_loss.sum(), shown)
        g_adam.step_(torch.autograd.grad(fakes, list(g_params.values()), towards))

        with torch.no_grad():
            right = [(real_logits > 0), (fake_logits < 0)]
            return torch.stack([d_loss, g_loss, *(each.to(d_loss.dtype).mean(-1) for each in right)]).detach()

    def _judge(
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
    """Return the same values as what gradients are asked for."""
    return {name: value.detach().requires_grad_() for name, value in params.items()}
