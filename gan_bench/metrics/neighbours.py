"""Distances between two sets of features or pixels, in blocks that fit a CPU's cache."""

from __future__ import annotations

import torch
from torch import Tensor

ROWS = 500
"""Rows of a block of the distance matrix; larger blocks exceed a CPU's cache."""


def radii(features: Tensor, neighbours: int) -> Tensor:
    """Return the distance of each of features [N, D] to its neighbour of that rank in the same set, [N]."""
    # the nearest one is the image itself
    distances = (torch.cdist(block, features) for block in torch.split(features, ROWS))
    return torch.cat([each.topk(neighbours + 1, largest=False, sorted=False).values.amax(1) for each in distances])
