"""Modes: how many of the data set's classes the generator covers, and how unevenly."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from gan_bench.metrics.base import Column, Metric, MetricFunction, metrics
from gan_bench.metrics.extractors.base import Features

MIN_SHARE = 0.1


class Modes(Metric):
    """Classes that the data set's own classifier predicts for real and for generated images.

    A class is covered if its share of the generated images is at least a tenth of its share of the real ones;
    modes_kl is KL(generated || real) of the two class histograms, in nats.
    """

    title = "classes covered"
    source = "mode count of arXiv 1611.02163, on the data set's classes"
    columns = (
        Column("modes_covered", "classes covered", "higher"),
        Column("modes_kl", "class KL (nats)", "lower"),
    )
    needs_classes = True

    def bind(self, real: Features) -> MetricFunction:
        """Return coverage and KL relative to the class histogram of `real`."""
        n_classes = real.logits.shape[1]
        # a class without real images counts as half an image, so that the divergence stays finite
        counts = _counts(real.logits, n_classes).clamp(min=0.5)
        expected = counts / counts.sum()

        def coverage(fake: Features) -> Mapping[str, float]:
            share = _counts(fake.logits, n_classes) / len(fake)
            divergence = torch.special.xlogy(share, share / expected).sum()
            covered = (share >= MIN_SHARE * expected - 1e-12).sum()  # tolerance: exactly a tenth counts
            return {"modes_covered": float(covered), "modes_kl": max(0.0, float(divergence))}

        return coverage


def _counts(logits: Tensor, n_classes: int) -> Tensor:
    return logits.argmax(1).bincount(minlength=n_classes).double()


metrics.register("modes")(Modes())
