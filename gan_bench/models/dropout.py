"""Dropout with an explicit mask, so that `forward` draws no random numbers."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Dropout(nn.Module):
    """Multiply by `mask`, drawn by the trainer for each lane: 0 with probability p, else 1 / (1 - p).

    `features` is the shape of one sample's activations. The identity in evaluation mode. For discriminators only:
    the trainer draws no masks for G.
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
