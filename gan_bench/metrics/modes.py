"""Modes: which of the data set's classes the generator reaches, and how unevenly."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from gan_bench.metrics.extractors.extractor import Features
from gan_bench.metrics.metric import Column, Measure, Metric, metrics

REACHED = 0.1


class Modes(Metric):
    """Classes counted as the data set's own classifier sees them, in real and in generated images alike.

    A class counts as reached when its share of the generated images is at least a tenth of its share of the
    real ones; modes_kl is KL(generated || real) of the two histograms, in nats.
    """

    title = "classes reached"
    source = "the mode count of arXiv 1611.02163, on the data set's classes"
    columns = (
        Column("modes_covered", "classes reached", "higher"),
        Column("modes_kl", "class KL (nats)", "lower"),
    )
    needs_classes = True

    def against(self, real: Features) -> Measure:
        """Return the measure against the class histogram of `real`."""
        n_classes = real.logits.shape[1]
        # A class that a small reference lacks gets half an image, so that the divergence stays finite.
        counts = _counts(real.logits, n_classes).clamp(min=0.5)
        expected = counts / counts.sum()

        def measure(fake: Features) -> Mapping[str, float]:
            share = _counts(fake.logits, n_classes) / len(fake)
            divergence = torch.special.xlogy(share, share / expected).sum()
            covered = (share >= REACHED * expected - 1e-12).sum()  # less rounding: exactly a tenth will do
            return {"modes_covered": float(covered), "modes_kl": max(0.0, float(divergence))}

        return measure


def _counts(logits: Tensor, n_classes: int) -> Tensor:
    return logits.argmax(1).bincount(minlength=n_classes).double()


metrics.register("modes")(Modes())
