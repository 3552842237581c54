"""IS: how sure and how varied a classifier finds the generated images (arXiv 1606.03498)."""

from __future__ import annotations

from gan_bench.metrics.extractors.extractor import Features
from gan_bench.metrics.fidelity import inception_score
from gan_bench.metrics.metric import Column, Measure, Metric, metrics


class InceptionScore(Metric):
    """exp E KL(p(y|x) || p(y)) over 10 splits; with a data set's own classifier at most its number of classes."""

    title = "inception score"
    source = "arXiv 1606.03498"
    columns = (
        Column("inception_score_mean", "IS", "higher"),
        Column("inception_score_std", "IS, std over splits", "lower"),
    )

    def against(self, real: Features) -> Measure:
        """Return the score of the generated images; `real` plays no part in it."""
        return lambda fake: inception_score(fake.logits)


metrics.register("is")(InceptionScore())
