"""KID: the squared maximum mean discrepancy of the features under a cubic kernel (arXiv 1801.01401)."""

from __future__ import annotations

import functools
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from gan_bench.metrics.extractors.extractor import Features
from gan_bench.metrics.fidelity import SEED
from gan_bench.metrics.metric import Column, Measure, Metric, metrics

SUBSETS = 100
SUBSET_SIZE = 1000


class Kid(Metric):
    """Mean and std over 100 subsets of 1,000, or of half where there are fewer; unbiased, so it can be below 0."""

    title = "KID"
    source = "arXiv 1801.01401"
    columns = (Column("kid_mean", "KID", "lower"), Column("kid_std", "KID, std over subsets", "lower"))

    def against(self, real: Features) -> Measure:
        """Return the discrepancy from `real`, whose subsets' own part is kept: a third of the arithmetic."""
        theirs = real.features

        @functools.cache
        def pairs(n_fake: int) -> list[tuple[Tensor, Tensor, Tensor]]:
            drawn = [(mine.to(theirs.device), rows.to(theirs.device)) for mine, rows in subsets(n_fake, len(real))]
            room = _room(theirs, drawn[0][1])
            return [(mine, rows, _within(theirs[rows], room)) for mine, rows in drawn]

        def measure(fake: Features) -> Mapping[str, float]:
            found, room = [], _room(theirs, pairs(len(fake))[0][1])
            for mine, rows, own in pairs(len(fake)):
                images = fake.features[mine]
                found.append(_within(images, room) + own - 2 * _between(images, theirs[rows], room))
            spread = torch.stack(found)
            return {"kid_mean": float(spread.mean()), "kid_std": float(spread.std(correction=0))}

        return measure


def subsets(n_fake: int, n_real: int) -> list[tuple[Tensor, Tensor]]:
    """Return the rows of generated and of real images in each pair of subsets, as torch-fidelity draws them."""
    draws, size = np.random.RandomState(SEED), subset_size(n_fake, n_real)

    def rows(n: int) -> Tensor:
        return torch.from_numpy(draws.choice(n, size, replace=False))

    return [(rows(n_fake), rows(n_real)) for _ in range(SUBSETS)]


def subset_size(n_fake: int, n_real: int) -> int:
    """Return how many images a subset has: 1,000, or half of the fewer, so that subsets differ from each other."""
    return max(2, min(SUBSET_SIZE, n_fake // 2, n_real // 2))


def _room(features: Tensor, rows: Tensor) -> Tensor:
    """Return an array for the kernel of a pair of subsets: one for all pairs, since new memory costs a fifth."""
    return features.new_empty(len(rows), len(rows))


def _kernel(one: Tensor, other: Tensor, room: Tensor) -> Tensor:
    """Return (x.y / D + 1)^3 of every pair, [N, N], in `room`."""
    return torch.addmm(one.new_ones(()), one, other.T, alpha=1 / one.shape[1], out=room).pow_(3)


def _within(features: Tensor, room: Tensor) -> Tensor:
    """Return the kernel's mean over pairs of different images, float64."""
    kernel, n = _kernel(features, features, room), len(features)
    return (_total(kernel) - kernel.diagonal().sum(dtype=torch.float64)) / (n * (n - 1))


def _between(one: Tensor, other: Tensor, room: Tensor) -> Tensor:
    return _total(_kernel(one, other, room)) / (len(one) * len(other))


def _total(kernel: Tensor) -> Tensor:
    # what is left of three large means is small: their sums must be better than the fp32 of their terms
    return kernel.sum(1).sum(dtype=torch.float64)


metrics.register("kid")(Kid())
