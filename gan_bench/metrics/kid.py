"""KID: the squared maximum mean discrepancy of the features under a cubic kernel (arXiv 1801.01401)."""

from __future__ import annotations

from collections.abc import Mapping

from gan_bench.metrics.extractors.extractor import Features
from gan_bench.metrics.fidelity import kernel_distance
from gan_bench.metrics.metric import Column, Measure, Metric, metrics


class Kid(Metric):
    """Mean and std over 100 subsets of 1,000, or of half where there are fewer; unbiased, so it can be below 0."""

    title = "KID"
    source = "arXiv 1801.01401"
    columns = (Column("kid_mean", "KID", "lower"), Column("kid_std", "KID, std over subsets", "lower"))

    def against(self, real: Features) -> Measure:
        """Return the discrepancy from `real`."""

        def measure(fake: Features) -> Mapping[str, float]:
            found = kernel_distance(fake.features, real.features)
            return {f"kid_{part}": found[f"kernel_inception_distance_{part}"] for part in ("mean", "std")}

        return measure


metrics.register("kid")(Kid())
