"""PreparedExtractor: a loaded extractor with its metrics bound to the real images, and both references."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from gan_bench.core.errors import InputError
from gan_bench.core.evaluation_spec import EvaluationProtocol
from gan_bench.devices import numerics
from gan_bench.metrics.base import Column, Metric, MetricFunction, metrics
from gan_bench.metrics.extractors.base import Extractor, Features, ImageCounter
from gan_bench.metrics.reference_images import ReferenceImages
from gan_bench.metrics.score_cache import ScoreCache


@dataclass(frozen=True)
class PreparedExtractor:
    """An extractor with its protocol and the metrics bound to the real images."""

    extractor: Extractor
    protocol: EvaluationProtocol
    functions: Mapping[str, MetricFunction]
    real_reference: Mapping[str, float]
    """Values of real images by column; a metric that is undefined for so few images has none."""
    noise_reference: Mapping[str, float]
    """Values of uniform noise by column."""

    @property
    def columns(self) -> list[Column]:
        """The columns of the metrics."""
        return columns_of(self.functions)

    def evaluate(self, images: Tensor, counter: ImageCounter) -> dict[str, float]:
        """Return the value of every column for uint8 [N, C, H, W] of the native size."""
        return _evaluate(self.extractor, self.functions, images, counter)


def prepare_extractor(
    extractor: Extractor,
    protocol: EvaluationProtocol,
    applicable: Mapping[str, Metric],
    images: ReferenceImages,
    cache: ScoreCache,
    counter: ImageCounter,
) -> PreparedExtractor:
    """Bind metrics to the real images and compute both references, or read them from the cache."""
    real = _real_features(extractor, protocol, images, cache, counter).to(extractor.scoring_device)
    with torch.inference_mode(), numerics.full_precision(extractor.device):
        functions = {name: metric.bind(real) for name, metric in applicable.items()}

    dim = extractor.feature_dim

    def reference(kind: str, count: int, make_images: Callable[[], Tensor]) -> Mapping[str, float]:
        names = [name for name, metric in applicable.items() if _is_defined(metric, dim, images.n_real, count)]
        key = {**_cache_key(extractor, protocol), "reference": kind, "images": count}
        values = cache.values(key)
        if {column.name for column in columns_of(names)} <= values.keys():
            counter(count)
        else:
            values |= _evaluate(extractor, {name: functions[name] for name in names}, make_images(), counter)
            cache.store_values(key, values)
        return values

    real_reference = reference("real", images.n_other, images.other)
    noise_reference = reference("noise", images.n_fake, images.noise)
    return PreparedExtractor(extractor, protocol, functions, real_reference, noise_reference)


def columns_of(names: Iterable[str]) -> list[Column]:
    """Return the columns of registered metrics."""
    return [column for name in names for column in metrics.get(name).columns]


def _real_features(
    extractor: Extractor,
    protocol: EvaluationProtocol,
    images: ReferenceImages,
    cache: ScoreCache,
    counter: ImageCounter,
) -> Features:
    key = _cache_key(extractor, protocol)
    del key["n_fake"], key["kid_subset_size"]  # features do not depend on the number of generated images
    features = cache.features(key)
    if features is None or len(features) != images.n_real:
        features = extractor(images.real(), counter)
        cache.store_features(key, features)
    else:
        counter(images.n_real)
    return features


def _is_defined(metric: Metric, feature_dim: int, n_real: int, n_fake: int) -> bool:
    try:
        metric.check(feature_dim, n_real, n_fake)
    except InputError:
        return False
    return True


def _evaluate(
    extractor: Extractor, functions: Mapping[str, MetricFunction], images: Tensor, counter: ImageCounter
) -> dict[str, float]:
    features = extractor(images, counter)
    with torch.inference_mode(), numerics.full_precision(extractor.device):
        return {name: value for function in functions.values() for name, value in function(features).items()}


def _cache_key(extractor: Extractor, protocol: EvaluationProtocol) -> dict[str, object]:
    """Return the cache key of fixed images: the device and the protocol without the fields of the generator."""
    fields = protocol.model_dump(mode="json", exclude={"weights", "batch_norm"})
    return {**fields, "device": extractor.device.type}
