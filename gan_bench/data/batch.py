"""Batch: images with their labels."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """Images uint8 [N, C, H, W] with labels int64 [N], or None for unlabelled data.

    A training set on the device is one Batch; the batch of a step has a leading lane axis: images
    [lanes, B, C, H, W], labels [lanes, B].
    """

    images: Tensor
    labels: Tensor | None = None

    def __len__(self) -> int:
        """Return the size of the first axis."""
        return len(self.images)

    def select(self, index: Tensor) -> Batch:
        """Return the images and labels at `index`, int64 of any shape, which replaces the first axis."""
        return Batch(self.images[index], None if self.labels is None else self.labels[index])

    def to(self, device: torch.device) -> Batch:
        """Return the batch on `device`; a tensor already there is not copied."""
        return Batch(self.images.to(device), None if self.labels is None else self.labels.to(device))
