"""Dropout whose mask is handed in, so that a forward draws nothing."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Dropout(nn.Module):
    """Multiply by `mask`, which the trainer draws for each lane: 0 with probability p, else 1 / (1 - p).

    `features` is the shape of one sample's activations. In evaluation mode this is the identity.
    """

    mask: Tensor

    def __init__(self, p: float, features: tuple[int, ...]) -> None:
        super().__init__()
        self.p = p
        self.features = features
        self.register_buffer("mask", torch.empty(0), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return x [B, *features] times the mask [B, *features]."""
        if not self.training or self.p == 0:
            return x
        return x * self.mask

    def extra_repr(self) -> str:
        """Show the probability in the module's repr."""
        return f"p={self.p}"
