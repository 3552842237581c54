"""Density and coverage: robust forms of precision and recall, from balls around real images (arXiv 2002.09797)."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from gan_bench.core.errors import InputError
from gan_bench.metrics import neighbours
from gan_bench.metrics.base import Column, Metric, MetricFunction, metrics
from gan_bench.metrics.extractors.base import Features

NEIGHBOURS = 5
"""Rank of the neighbour whose distance is the radius of a real image's ball, as in the paper."""


class DensityCoverage(Metric):
    """Real images' balls, with the distance to the fifth real neighbour as radius.

    Density is the mean number of balls that a generated image is in, over the five expected ones; it can exceed
    1. Coverage is the share of the balls that contain a generated image.
    """

    title = "density and coverage"
    source = "arXiv 2002.09797"
    columns = (Column("density", "density", "higher"), Column("coverage", "coverage", "higher"))

    def check(self, feature_dim: int, n_real: int, n_fake: int) -> None:
        """Raise InputError if a real image has no fifth neighbour."""
        if n_real <= NEIGHBOURS or n_fake < 1:
            raise InputError(f"dc requires more than {NEIGHBOURS} real images, not {n_real}")

    def bind(self, real: Features) -> MetricFunction:
        """Return density and coverage relative to `real`; its radii are computed once."""
        radii = neighbours.radii(real.features, NEIGHBOURS)

        def density_coverage(fake: Features) -> Mapping[str, float]:
            balls, covered = 0, torch.zeros_like(radii, dtype=torch.bool)
            for block in torch.split(fake.features, neighbours.ROWS):
                inside = torch.cdist(block, real.features) <= radii
                balls += int(inside.sum())
                covered |= inside.any(0)
            return {
                "density": balls / (NEIGHBOURS * len(fake)),
                "coverage": float(covered.float().mean()),
            }

        return density_coverage


metrics.register("dc")(DensityCoverage())
