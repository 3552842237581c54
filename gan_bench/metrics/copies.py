"""Copies: generated images that repeat each other, or that are nearer to a training image than held-out ones."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping

from torch import Tensor

from gan_bench.data.base import resized
from gan_bench.metrics.base import Column, ImageFunction, ImageMetric, TrainingImages, metrics
from gan_bench.metrics.extractors.base import Features
from gan_bench.metrics.neighbours import nearest_ratios

SAMPLES = 1000
"""Generated images whose neighbours are searched."""
NEIGHBOURS = 50
"""Neighbours that the distance to the nearest one is relative to, as in arXiv 2301.13188."""
QUANTILE = 0.01
"""Share of held-out images that are as near to a training image as a copy, by definition."""
PIXELS = 32
"""Larger images are reduced to this height and width before their pixels are compared."""


class TrainingNeighbours(ImageMetric):
    """Share of generated images that are copies of training images, in one space.

    An image's nearness is its distance to the nearest training image, over the mean distance to the 50 nearest: a
    place where all images are alike does not count as copied. A copy is nearer than all but 1% of held-out images.
    One half of them sets that limit; the share of the other half is the real-data reference.
    """

    source = "normalized distance of arXiv 2301.13188, against held-out images as in arXiv 2004.05675"

    @abstractmethod
    def train_space(self, training: TrainingImages) -> Tensor:
        """Return what distances are computed on of the training images, [N, D]."""

    @abstractmethod
    def held_out_space(self, training: TrainingImages) -> Tensor:
        """Return the same of held-out images, [N, D]."""

    @abstractmethod
    def space(self, images: Tensor, features: Features) -> Tensor:
        """Return the same of generated images, [N, D]."""

    def bind_images(self, training: TrainingImages) -> ImageFunction:
        """Return the share relative to the training images and held-out ones."""
        name, train = self.columns[-1].name, self.train_space(training)
        held_out = training.remember(
            name, lambda: nearest_ratios(self.held_out_space(training), train, NEIGHBOURS)
        )
        limit = held_out[::2].quantile(QUANTILE)

        def share(ratios: Tensor) -> float:
            return float((ratios <= limit).float().mean()) if len(ratios) else 0.0

        def copies(images: Tensor, features: Features) -> Mapping[str, float]:
            queries = self.space(images[:SAMPLES], features[:SAMPLES])
            return {name: share(nearest_ratios(queries, train, NEIGHBOURS))}

        return ImageFunction(copies, {name: share(held_out[1::2])})


class PixelCopies(TrainingNeighbours):
    """Copies in pixels, and generated images that equal an earlier one."""

    title = "copies in pixels"
    columns = (
        Column("duplicate_share", "duplicates", "lower"),
        Column("pixel_copy_share", "copies in pixels", "lower"),
    )

    def train_space(self, training: TrainingImages) -> Tensor:
        """Return pixels, uint8 [N, C * H * W]."""
        return _pixels(training.train)

    def held_out_space(self, training: TrainingImages) -> Tensor:
        """Return pixels, on the device that distances are computed on."""
        return _pixels(training.held_out).to(training.device)

    def space(self, images: Tensor, features: Features) -> Tensor:
        """Return pixels, on the device of the features."""
        return _pixels(images).to(features.features.device)

    def bind_images(self, training: TrainingImages) -> ImageFunction:
        """Add the share of duplicates."""
        found = super().bind_images(training)

        def copies(images: Tensor, features: Features) -> Mapping[str, float]:
            return {"duplicate_share": duplicate_share(images), **found.values(images, features)}

        own = {"duplicate_share": duplicate_share(training.held_out)}
        return ImageFunction(copies, {**own, **found.real_reference})


class FeatureCopies(TrainingNeighbours):
    """Copies in the features of the data set's own classifier, which also finds slightly changed images."""

    title = "copies in features"
    columns = (Column("feature_copy_share", "copies in features", "lower"),)
    needs_classes = True  # of another extractor, the features of all training images are too expensive

    def train_space(self, training: TrainingImages) -> Tensor:
        """Return the features."""
        return training.train_features()

    def held_out_space(self, training: TrainingImages) -> Tensor:
        """Return the features."""
        return training.held_out_features()

    def space(self, images: Tensor, features: Features) -> Tensor:
        """Return the features."""
        return features.features


def _pixels(images: Tensor) -> Tensor:
    return resized(images, min(images.shape[-1], PIXELS)).flatten(1)


def duplicate_share(images: Tensor) -> float:
    """Return the share of uint8 images [N, ...] that equal an earlier one."""
    rows = images.flatten(1).cpu().contiguous().numpy()
    return 1 - len({row.tobytes() for row in rows}) / len(rows) if len(rows) else 0.0


metrics.register("copies")(PixelCopies())
metrics.register("feature-copies")(FeatureCopies())
