"""Precision and recall: share of generated images on the real manifold, and the reverse (arXiv 1904.06991)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from gan_bench.core.errors import InputError
from gan_bench.metrics import neighbours
from gan_bench.metrics.base import Column, Metric, MetricFunction, metrics
from gan_bench.metrics.extractors.base import Features

NEIGHBOURS = 3


class PrecisionRecall(Metric):
    """Shares of images within a ball of the other set, whose radius is the third-neighbour distance."""

    title = "precision and recall"
    source = "arXiv 1904.06991"
    columns = (Column("precision", "precision", "higher"), Column("recall", "recall", "higher"))

    def check(self, feature_dim: int, n_real: int, n_fake: int) -> None:
        """Raise InputError if an image has no third neighbour."""
        if min(n_real, n_fake) <= NEIGHBOURS:
            raise InputError(
                f"prc requires more than {NEIGHBOURS} real and generated images, not {n_real} and {n_fake}"
            )

    def bind(self, real: Features) -> MetricFunction:
        """Return precision and recall relative to `real`; its radii are computed once."""
        real_radii = neighbours.radii(real.features, NEIGHBOURS)

        def precision_recall(fake: Features) -> Mapping[str, float]:
            precise, recalled = [], torch.zeros_like(real_radii, dtype=torch.bool)
            fake_radii = neighbours.radii(fake.features, NEIGHBOURS)
            parts = (torch.split(values, neighbours.ROWS) for values in (fake.features, fake_radii))
            for block, radii in zip(*parts, strict=True):
                distances = torch.cdist(block, real.features)
                precise.append((distances <= real_radii).any(1))
                recalled |= (distances <= radii[:, None]).any(0)
            return {"precision": _share(torch.cat(precise)), "recall": _share(recalled)}

        return precision_recall


def _share(images: Tensor) -> float:
    return images.float().mean().item()


metrics.register("prc")(PrecisionRecall())
