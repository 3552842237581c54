"""PreparedExtractor: a loaded extractor with its metrics bound to the real images, and both references."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor

from gan_bench.core.errors import InputError
from gan_bench.core.evaluation_spec import EvaluationProtocol
from gan_bench.devices import numerics
from gan_bench.metrics.base import (
    AnyMetric,
    BaseMetric,
    Column,
    ImageMetric,
    LabelFunction,
    LabelMetric,
    MetricFunction,
    TrainingImages,
    metrics,
)
from gan_bench.metrics.extractors.base import Extractor, Features, ImageCounter
from gan_bench.metrics.reference_images import ReferenceImages
from gan_bench.metrics.score_cache import ScoreCache


class PreparedExtractor:
    """An extractor with its protocol, its metrics bound to the real images, and the values of both references."""

    def __init__(
        self,
        extractor: Extractor,
        protocol: EvaluationProtocol,
        applicable: Mapping[str, AnyMetric],
        images: ReferenceImages,
        cache: ScoreCache,
        counter: ImageCounter,
    ) -> None:
        """Bind metrics to the real images and compute both references, or read them from the cache."""
        self.extractor, self.protocol, self.columns = extractor, protocol, columns_of(applicable)
        self._cache, self._counter = cache, counter
        # the cache key of fixed images: the device and the protocol without the fields of the generator
        fields = protocol.model_dump(mode="json", exclude={"weights", "batch_norm"})
        self._key = {**fields, "device": extractor.device.type}
        real = self._real_features(images).to(extractor.scoring_device)
        self._applicable, self._n_real = applicable, images.n_real
        self._functions: dict[str, Callable[[Tensor, Features], Mapping[str, float]]] = {}
        self._label_functions: dict[str, LabelFunction] = {}
        held_out: dict[str, float] = {}
        with torch.inference_mode(), numerics.full_precision(extractor.device):
            training = self._training_images(images)
            for name, metric in applicable.items():
                if isinstance(metric, ImageMetric):
                    bound = metric.bind_images(training)
                    self._functions[name] = bound.values
                    held_out |= bound.real_reference
                elif isinstance(metric, LabelMetric):
                    self._label_functions[name] = metric.bind_labels(real, images.real_labels())
                else:
                    self._functions[name] = _of_features(metric.bind(real))
        of_features = [name for name, metric in applicable.items() if not isinstance(metric, ImageMetric)]
        labels = images.other_labels() if self._label_functions else None
        self.real_reference = held_out | self._reference("real", images.n_other, images.other, of_features, labels)
        """Values of real images by column; a metric that is undefined for so few images has none."""
        self.noise_reference = self._reference("noise", images.n_fake, images.noise, self._functions)
        """Values of uniform noise by column."""

    def values(
        self,
        images: Tensor,
        counter: ImageCounter,
        names: Iterable[str] | None = None,
        labels: Tensor | None = None,
    ) -> dict[str, float]:
        """Return the values for uint8 [N, C, H, W] of the native size by column, of all metrics or of some.

        Metrics of labels are computed for images with labels, int64 [N].
        """
        features = self.extractor(images, counter)
        chosen = [*self._functions, *self._label_functions] if names is None else names
        found: dict[str, float] = {}
        with torch.inference_mode(), numerics.full_precision(self.extractor.device):
            for name in chosen:
                if name in self._functions:
                    found |= self._functions[name](images, features)
                elif labels is not None:
                    found |= self._label_functions[name](features, labels)
        return found

    def _real_features(self, images: ReferenceImages) -> Features:
        # features do not depend on the number of generated images
        key = {name: value for name, value in self._key.items() if name not in ("n_fake", "kid_subset_size")}
        stored = self._cache.load(key)
        if stored.keys() == {"features", "logits"} and len(stored["features"]) == images.n_real:
            self._counter(images.n_real)
            return Features(**stored)
        found = self.extractor(images.real(), self._counter)
        self._cache.store(key, {"features": found.features, "logits": found.logits})
        return found

    def _training_images(self, images: ReferenceImages) -> TrainingImages:
        """Return the training images and held-out ones; what is computed of them is cached by name."""
        fixed = ("dataset", "dataset_sha256", "extractor", "extractor_sha256", "resize", "seed", "device")
        key = {name: self._key[name] for name in fixed}

        def remember(name: str, compute: Callable[[], Tensor]) -> Tensor:
            stored = self._cache.load({**key, "array": name})
            if stored.keys() != {name}:
                stored = {name: compute()}
                self._cache.store({**key, "array": name}, stored)
            return stored[name].to(self.extractor.scoring_device)

        def features(name: str, of: Tensor) -> Tensor:
            return remember(name, lambda: self.extractor(of, lambda count: self._counter(0)).features)

        train, held_out = images.train(), images.held_out()
        return TrainingImages(
            train,
            held_out,
            lambda: features("train_features", train),
            lambda: features("held_out_features", held_out),
            self.extractor.scoring_device,
            remember,
        )

    def _reference(
        self,
        kind: str,
        count: int,
        make_images: Callable[[], Tensor],
        applicable: Iterable[str],
        labels: Tensor | None = None,
    ) -> dict[str, float]:
        names = [name for name in applicable if self._is_defined(self._applicable[name], count)]
        key = {**self._key, "reference": kind, "images": count}
        values = {name: float(value) for name, value in self._cache.load(key).items()}
        if {column.name for column in columns_of(names)} <= values.keys():
            self._counter(count)
        else:
            values |= self.values(make_images(), self._counter, names, labels)
            arrays = {name: torch.tensor(value, dtype=torch.float64) for name, value in values.items()}
            self._cache.store(key, arrays)
        return values

    def _is_defined(self, metric: BaseMetric, n_fake: int) -> bool:
        try:
            metric.check(self.extractor.feature_dim, self._n_real, n_fake)
        except InputError:
            return False
        return True


def _of_features(function: MetricFunction) -> Callable[[Tensor, Features], Mapping[str, float]]:
    return lambda images, features: function(features)


def columns_of(names: Iterable[str]) -> list[Column]:
    """Return the columns of registered metrics."""
    return [column for name in names for column in metrics.get(name).columns]
