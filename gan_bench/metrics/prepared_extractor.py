"""PreparedExtractor: a loaded extractor with its metrics bound to the real images, and both references."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor

from gan_bench.core.errors import InputError
from gan_bench.core.evaluation_spec import EvaluationProtocol
from gan_bench.devices import numerics
from gan_bench.metrics.base import Column, Metric, metrics
from gan_bench.metrics.extractors.base import Extractor, Features, ImageCounter
from gan_bench.metrics.reference_images import ReferenceImages
from gan_bench.metrics.score_cache import ScoreCache


class PreparedExtractor:
    """An extractor with its protocol, its metrics bound to the real images, and the values of both references."""

    def __init__(
        self,
        extractor: Extractor,
        protocol: EvaluationProtocol,
        applicable: Mapping[str, Metric],
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
        with torch.inference_mode(), numerics.full_precision(extractor.device):
            self._functions = {name: metric.bind(real) for name, metric in applicable.items()}
        self._applicable, self._n_real = applicable, images.n_real
        self.real_reference = self._reference("real", images.n_other, images.other)
        """Values of real images by column; a metric that is undefined for so few images has none."""
        self.noise_reference = self._reference("noise", images.n_fake, images.noise)
        """Values of uniform noise by column."""

    def values(
        self, images: Tensor, counter: ImageCounter, names: Iterable[str] | None = None
    ) -> dict[str, float]:
        """Return the values for uint8 [N, C, H, W] of the native size by column, of all metrics or of some."""
        features = self.extractor(images, counter)
        chosen = self._functions if names is None else names
        with torch.inference_mode(), numerics.full_precision(self.extractor.device):
            return {column: value for name in chosen for column, value in self._functions[name](features).items()}

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

    def _reference(self, kind: str, count: int, make_images: Callable[[], Tensor]) -> Mapping[str, float]:
        names = [name for name, metric in self._applicable.items() if self._is_defined(metric, count)]
        key = {**self._key, "reference": kind, "images": count}
        values = {name: float(value) for name, value in self._cache.load(key).items()}
        if {column.name for column in columns_of(names)} <= values.keys():
            self._counter(count)
        else:
            values |= self.values(make_images(), self._counter, names)
            arrays = {name: torch.tensor(value, dtype=torch.float64) for name, value in values.items()}
            self._cache.store(key, arrays)
        return values

    def _is_defined(self, metric: Metric, n_fake: int) -> bool:
        try:
            metric.check(self.extractor.feature_dim, self._n_real, n_fake)
        except InputError:
            return False
        return True


def columns_of(names: Iterable[str]) -> list[Column]:
    """Return the columns of registered metrics."""
    return [column for name in names for column in metrics.get(name).columns]
