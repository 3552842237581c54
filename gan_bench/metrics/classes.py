"""Class accuracy and class-wise FID: whether a conditional model generates the class that it was asked for."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from gan_bench.core.errors import InputError
from gan_bench.metrics.base import Column, LabelFunction, LabelMetric, metrics
from gan_bench.metrics.extractors.base import Features
from gan_bench.metrics.fid import Fid


class ClassAccuracy(LabelMetric):
    """Share of the images that the data set's own classifier takes for the class they were generated for.

    The real-data reference is the classifier's accuracy on real images.
    """

    title = "class accuracy"
    source = "arXiv 1610.09585"
    columns = (Column("class_accuracy", "class accuracy", "higher"),)

    def bind_labels(self, real: Features, labels: Tensor) -> LabelFunction:
        """Return the accuracy, which needs no real images."""

        def accuracy(fake: Features, asked: Tensor) -> Mapping[str, float]:
            predicted = fake.logits.argmax(1).cpu()
            return {"class_accuracy": float((predicted == asked.cpu()).double().mean())}

        return accuracy


class ClassFid(LabelMetric):
    """Mean over classes of the FID between real and generated images of the class (intra FID)."""

    title = "class-wise FID"
    source = "arXiv 1802.05637"
    columns = (Column("class_fid", "class-wise FID", "lower"),)

    def bind_labels(self, real: Features, labels: Tensor) -> LabelFunction:
        """Return the mean distance to the real images of each class.

        Raises InputError where a class has no more images than there are features.
        """
        classes = labels.unique().tolist()  # type: ignore[no-untyped-call]
        parts = {label: Fid().bind(_of_class(real, labels, label, "real")) for label in classes}

        def distance(fake: Features, asked: Tensor) -> Mapping[str, float]:
            found = [each(_of_class(fake, asked, label, "generated"))["fid"] for label, each in parts.items()]
            return {"class_fid": sum(found) / len(found)}

        return distance


def _of_class(features: Features, labels: Tensor, label: int, kind: str) -> Features:
    """Return the features of one class; raise InputError for too few of them."""
    rows = torch.nonzero(labels.to(features.features.device) == label).squeeze(1)
    dim = features.features.shape[1]
    if len(rows) <= dim:
        raise InputError(
            f"class-fid on {dim} features requires at least {dim + 1} images of each class, but there are "
            f"{len(rows)} {kind} ones of class {label}: give more --eval-samples, or --metrics without class-fid"
        )
    return Features(features.features[rows], features.logits[rows])


metrics.register("class-accuracy")(ClassAccuracy())
metrics.register("class-fid")(ClassFid())
