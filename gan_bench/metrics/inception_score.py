"""IS: the inception score, confidence and diversity of a classifier's predictions (arXiv 1606.03498)."""

from __future__ import annotations

from gan_bench.core.errors import InputError
from gan_bench.metrics.base import Column, Metric, MetricFunction, metrics
from gan_bench.metrics.extractors.base import Features
from gan_bench.metrics.fidelity import ISC_SPLITS, inception_score


class InceptionScore(Metric):
    """exp E KL(p(y|x) || p(y)), mean and std over 10 splits; at most the number of the extractor's classes."""

    title = "inception score"
    source = "arXiv 1606.03498"
    columns = (
        Column("inception_score_mean", "IS", "higher"),
        Column("inception_score_std", "IS, std over splits", "lower"),
    )

    def check(self, feature_dim: int, n_real: int, n_fake: int) -> None:
        """Raise InputError if a split would be empty."""
        if n_fake < ISC_SPLITS:
            raise InputError(f"is requires at least {ISC_SPLITS} generated images, not {n_fake}")

    def bind(self, real: Features) -> MetricFunction:
        """Return the score of the generated images; `real` is not used."""
        return lambda fake: inception_score(fake.logits)


metrics.register("is")(InceptionScore())
