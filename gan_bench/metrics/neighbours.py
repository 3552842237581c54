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


def nearest_ratios(queries: Tensor, others: Tensor, neighbours: int) -> Tensor:
    """Return each query's distance to its nearest neighbour over the mean distance to its nearest ones, [N].

    `queries` [N, D] and `others` [M, D] are of any dtype; all of `others` count where there are fewer than
    `neighbours`. A ratio is 0 for a copy, and 1 where even the farthest of the neighbours are copies.
    """
    queries = queries.float()
    nearest = queries.new_empty((len(queries), 0))
    for block in torch.split(others, ROWS):
        found = torch.cat([nearest, torch.cdist(queries, block.to(queries.device).float())], dim=1)
        nearest = found.topk(min(neighbours, found.shape[1]), largest=False, sorted=False).values
    mean = nearest.mean(1)
    return torch.where(mean > 0, nearest.amin(1) / mean, 1.0)
