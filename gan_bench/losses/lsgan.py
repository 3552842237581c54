"""The least-squares loss."""

from __future__ import annotations

from torch import Tensor

from gan_bench.losses.base import Loss, losses


@losses.register("lsgan")
class LSGAN(Loss):
    """(D(x) - 1)^2 / 2 + D(G(z))^2 / 2 for D, (D(G(z)) - 1)^2 / 2 for G: the 0-1 coding of arXiv 1611.04076."""

    title = "Least squares"
    paper = "arXiv 1611.04076"
    decision_boundary = 0.5

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """Return half the mean squared distance of real logits from 1 and of fake logits from 0."""
        return ((real_logits - 1).square().mean(-1) + fake_logits.square().mean(-1)) / 2

    def generator(self, real_logits: Tensor | None, fake_logits: Tensor) -> Tensor:
        """Return half the mean squared distance of fake logits from 1."""
        return (fake_logits - 1).square().mean(-1) / 2
