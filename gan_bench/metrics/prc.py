"""Precision and recall: how much of the generated lies among the real, and the reverse (arXiv 1904.06991)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from gan_bench.errors import InputError
from gan_bench.metrics.extractors.extractor import Features
from gan_bench.metrics.metric import Column, Measure, Metric, metrics

NEIGHBOURS = 3
ROWS = 500
"""How many images' distances are looked at at once: larger blocks leave a CPU's cache."""


class PrecisionRecall(Metric):
    """Shares of images that lie in a ball around an image of the other kind, as far as its third neighbour."""

    title = "precision and recall"
    source = "arXiv 1904.06991"
    columns = (Column("precision", "precision", "higher"), Column("recall", "recall", "higher"))

    def check(self, feature_dim: int, n_real: int, n_fake: int) -> None:
        """Raise InputError where an image has no third neighbour."""
        if min(n_real, n_fake) <= NEIGHBOURS:
            raise InputError(f"prc needs more than {NEIGHBOURS} real and generated images: give more")

    def against(self, real: Features) -> Measure:
        """Return precision and recall with respect to `real`, whose balls are kept."""
        real_radii = _radii(real.features)

        def measure(fake: Features) -> Mapping[str, float]:
            precise, recalled = [], torch.zeros_like(real_radii, dtype=torch.bool)
            blocks = zip(torch.split(fake.features, ROWS), torch.split(_radii(fake.features), ROWS), strict=True)
            for block, radii in blocks:
                distances = torch.cdist(block, real.features)
                precise.append((distances <= real_radii).any(1))
                recalled |= (distances <= radii[:, None]).any(0)
            return {"precision": _share(torch.cat(precise)), "recall": _share(recalled)}

        return measure


def _radii(features: Tensor) -> Tensor:
    """Return each image's distance to its third neighbour, [N]; the nearest of all is the image itself."""
    distances = (torch.cdist(block, features) for block in torch.split(features, ROWS))
    return torch.cat([each.topk(NEIGHBOURS + 1, largest=False, sorted=False).values.amax(1) for each in distances])


def _share(images: Tensor) -> float:
    return images.float().mean().item()


metrics.register("prc")(PrecisionRecall())
