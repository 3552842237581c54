"""Metric: the interface of a metric, its columns and its registry."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from gan_bench.core.errors import unknown
from gan_bench.core.registry import Registry
from gan_bench.metrics.extractors.base import Features

MetricFunction: TypeAlias = Callable[[Features], Mapping[str, float]]
"""Maps the features of generated images to one value per column."""


@dataclass(frozen=True)
class Column:
    """One value that a metric yields: the column's name, its title in tables, and which direction is better."""

    name: str
    title: str
    better: Literal["lower", "higher"]


class BaseMetric(ABC):
    """What all metrics declare."""

    title: str
    source: str
    columns: tuple[Column, ...]
    needs_classes: bool = False
    """Whether the metric requires an extractor whose logits are the data set's own classes."""

    def check(self, feature_dim: int, n_real: int, n_fake: int) -> None:  # noqa: B027 (most need no check)
        """Raise InputError if the metric is undefined for these counts of images."""


class Metric(BaseMetric):
    """A comparison of generated with real images in an extractor's features."""

    @abstractmethod
    def bind(self, real: Features) -> MetricFunction:
        """Return the metric with the real features bound; statistics of `real` are computed here, once."""


LabelFunction: TypeAlias = Callable[[Features, Tensor], Mapping[str, float]]
"""Maps features of images and the labels that they were generated for, int64 [N], to one value per column."""


class LabelMetric(BaseMetric):
    """A comparison of generated images with the classes that they were generated for.

    Computed for conditional models only, on the data set's own classifier. Noise has no reference.
    """

    needs_classes = True

    @abstractmethod
    def bind_labels(self, real: Features, labels: Tensor) -> LabelFunction:
        """Return the metric with the real features and their labels, int64 [N], bound."""


@dataclass(frozen=True)
class TrainingImages:
    """Training images and held-out ones of the test split, uint8 [N, C, H, W], with their features."""

    train: Tensor
    held_out: Tensor
    train_features: Callable[[], Tensor]
    held_out_features: Callable[[], Tensor]
    device: torch.device
    """Where distances are computed."""
    remember: Callable[[str, Callable[[], Tensor]], Tensor]
    """Returns an array by name from the cache, or computes and stores it."""


@dataclass(frozen=True)
class ImageFunction:
    """A metric bound to training images, and the values of held-out images by column."""

    values: Callable[[Tensor, Features], Mapping[str, float]]
    """Maps generated images, uint8 [N, C, H, W], and their features to one value per column."""
    real_reference: Mapping[str, float]


class ImageMetric(BaseMetric):
    """A comparison of generated images with each other and with the training images.

    Its real-data reference is what held-out images get, because the training images of the usual one are copies.
    """

    @abstractmethod
    def bind_images(self, training: TrainingImages) -> ImageFunction:
        """Return the metric with the training images bound."""


AnyMetric: TypeAlias = Metric | ImageMetric | LabelMetric

metrics: Registry[AnyMetric] = Registry("metric", "gan_bench.metrics", "gan_bench.metrics")

ALIASES = {
    "precision": "prc",
    "recall": "prc",
    "density": "dc",
    "coverage": "dc",
    "inception-score": "is",
    "isc": "is",
    "modes_covered": "modes",
    "modes_kl": "modes",
    "kid_mean": "kid",
    "inception_score_mean": "is",
    "duplicates": "copies",
    "class_accuracy": "class-accuracy",
    "class_fid": "class-fid",
    "intra-fid": "class-fid",
}


def resolve_metrics(names: Iterable[str]) -> tuple[str, ...]:
    """Return registered names without duplicates, in the given order; resolve aliases such as `precision`.

    Raises InputError for an unknown name.
    """
    resolved: dict[str, None] = {}
    for asked in names:
        name = ALIASES.get(asked.lower(), asked.lower())
        if name not in metrics:
            raise unknown("metric", asked, [*metrics, *ALIASES])
        resolved[name] = None
    return tuple(resolved)
