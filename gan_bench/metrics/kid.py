"""KID: squared maximum mean discrepancy of the features under a cubic kernel (arXiv 1801.01401)."""

from __future__ import annotations

import functools
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from gan_bench.core.errors import InputError
from gan_bench.metrics.base import Column, Metric, MetricFunction, metrics
from gan_bench.metrics.extractors.base import Features
from gan_bench.metrics.fidelity import SEED

SUBSETS = 100
SUBSET_SIZE = 1000


class Kid(Metric):
    """Mean and std over 100 subsets of `subset_size` images; an unbiased estimate, which may be negative."""

    title = "KID"
    source = "arXiv 1801.01401"
    columns = (Column("kid_mean", "KID", "lower"), Column("kid_std", "KID, std over subsets", "lower"))

    def check(self, feature_dim: int, n_real: int, n_fake: int) -> None:
        """Raise InputError if a subset would have a single image."""
        if min(n_real, n_fake) < 2:
            raise InputError(f"kid requires at least 2 real and generated images, not {n_real} and {n_fake}")

    def bind(self, real: Features) -> MetricFunction:
        """Return the discrepancy from `real`; kernels within its subsets (a third of the work) are cached."""

        @functools.cache
        def pairs(n_fake: int) -> list[tuple[Tensor, Tensor, Tensor]]:
            device = real.features.device
            rows = [(fake.to(device), other.to(device)) for fake, other in subsets(n_fake, len(real))]
            buffer = _buffer(real.features, rows[0][1])
            return [(fake, other, _within(real.features[other], buffer)) for fake, other in rows]

        def discrepancy(fake: Features) -> Mapping[str, float]:
            values, buffer = [], _buffer(real.features, pairs(len(fake))[0][1])
            for fake_rows, real_rows, within_real in pairs(len(fake)):
                images = fake.features[fake_rows]
                between = _between(images, real.features[real_rows], buffer)
                values.append(_within(images, buffer) + within_real - 2 * between)
            subset_values = torch.stack(values)
            return {"kid_mean": float(subset_values.mean()), "kid_std": float(subset_values.std(correction=0))}

        return discrepancy


def subsets(n_fake: int, n_real: int) -> list[tuple[Tensor, Tensor]]:
    """Return the rows of generated and of real images in each pair of subsets, as torch-fidelity draws them."""
    rng, size = np.random.RandomState(SEED), subset_size(n_fake, n_real)

    def rows(n: int) -> Tensor:
        return torch.from_numpy(rng.choice(n, size, replace=False))

    return [(rows(n_fake), rows(n_real)) for _ in range(SUBSETS)]


def subset_size(n_fake: int, n_real: int) -> int:
    """Return the number of images in a subset: 1,000, or half of the smaller set so that subsets differ."""
    return max(2, min(SUBSET_SIZE, n_fake // 2, n_real // 2))


def _buffer(features: Tensor, rows: Tensor) -> Tensor:
    """Return a buffer for kernel matrices, [N, N]; one per pair of subsets would cost a fifth of the time."""
    return features.new_empty(len(rows), len(rows))


def _kernel(x: Tensor, y: Tensor, out: Tensor) -> Tensor:
    """Return (x.y / D + 1)^3 of every pair, [N, N], in `out`."""
    return torch.addmm(x.new_ones(()), x, y.T, alpha=1 / x.shape[1], out=out).pow_(3)


def _within(x: Tensor, buffer: Tensor) -> Tensor:
    """Return the kernel's mean over pairs of different images of one set, float64."""
    kernel, n = _kernel(x, x, buffer), len(x)
    return (_sum(kernel) - kernel.diagonal().sum(dtype=torch.float64)) / (n * (n - 1))


def _between(x: Tensor, y: Tensor, buffer: Tensor) -> Tensor:
    """Return the kernel's mean over pairs of images of two sets, float64."""
    return _sum(_kernel(x, y, buffer)) / (len(x) * len(y))


def _sum(kernel: Tensor) -> Tensor:
    # the result is a small difference of three large means: sum in float64
    return kernel.sum(1).sum(dtype=torch.float64)


metrics.register("kid")(Kid())
