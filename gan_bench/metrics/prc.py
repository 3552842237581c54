"""Precision and recall: how much of the generated lies among the real, and the reverse (arXiv 1904.06991)."""

from __future__ import annotations

from collections.abc import Mapping

from gan_bench.errors import InputError
from gan_bench.metrics.extractors.extractor import Features
from gan_bench.metrics.fidelity import PRC_NEIGHBOURS, precision_recall
from gan_bench.metrics.metric import Column, Measure, Metric, metrics


class PrecisionRecall(Metric):
    """Shares of images that lie in a ball around an image of the other kind, as far as its third neighbour."""

    title = "precision and recall"
    source = "arXiv 1904.06991"
    columns = (Column("precision", "precision", "higher"), Column("recall", "recall", "higher"))

    def check(self, feature_dim: int, n_real: int, n_fake: int) -> None:
        """Raise InputError where an image has no third neighbour."""
        if min(n_real, n_fake) <= PRC_NEIGHBOURS:
            raise InputError(f"prc needs more than {PRC_NEIGHBOURS} real and generated images: give more")

    def against(self, real: Features) -> Measure:
        """Return precision and recall with respect to `real`."""

        def measure(fake: Features) -> Mapping[str, float]:
            found = precision_recall(fake.features, real.features)
            return {"precision": found["precision"], "recall": found["recall"]}

        return measure


metrics.register("prc")(PrecisionRecall())
