"""Evaluator: scores generated images with every metric and extractor of an evaluation spec."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor

from gan_bench.core.cache_folder import trusted_cache
from gan_bench.core.errors import InputError
from gan_bench.core.evaluation_spec import EvaluationProtocol, EvaluationSpec, Weights
from gan_bench.core.events import OnEvent
from gan_bench.core.records import Score, WhichCheckpoint
from gan_bench.data.base import ImageData, resized
from gan_bench.metrics.base import AnyMetric, LabelMetric, metrics, resolve_metrics
from gan_bench.metrics.extractors.base import (
    Extractor,
    ExtractorContext,
    ExtractorSource,
    ImageCounter,
    default_cache,
)
from gan_bench.metrics.extractors.lookup import default_extractor, find_extractor
from gan_bench.metrics.fidelity import SEED, VERSION
from gan_bench.metrics.kid import subset_size
from gan_bench.metrics.prepared_extractor import PreparedExtractor, columns_of
from gan_bench.metrics.reference_images import ReferenceImages
from gan_bench.metrics.score_cache import ScoreCache

ProgressCallback: TypeAlias = Callable[[int, int], None]
"""Called with (images done, total images) after each batch of an extractor."""

WEIGHTS: Weights = "raw"


class Evaluator:
    """Scores of generated images against the reference split of a data set.

    The real-data reference is the score of real images from the other split: training images where the reference
    split is `test`, test images where it is `train`. It is computed on min(n_fake, images of that split) images,
    fewer than generated ones where that split is small, and is None for a metric that is undefined for so few.
    The noise reference is the score of n_fake images of uniform noise.

    `cache_dir` holds real features and references; None is a folder in the user's cache. See `trusted_cache`.
    Raises InputError for an unknown metric or extractor, too few images, or unavailable weights.
    """

    def __init__(
        self,
        data: ImageData,
        spec: EvaluationSpec,
        *,
        device: torch.device,
        cache_dir: Path | None,
        offline: bool,
        on_event: OnEvent,
    ) -> None:
        folder = trusted_cache(cache_dir, default_cache(), on_event)
        self.data = data
        self.spec = spec
        self.context = ExtractorContext(data, device, folder, offline, on_event)
        self.cache = ScoreCache(folder, on_event)
        self.images = ReferenceImages(data, spec.reference_split, spec.samples)
        self.n_real, self.n_fake = self.images.n_real, self.images.n_fake
        chosen = {name: metrics.get(name) for name in resolve_metrics(spec.metrics)}
        names = dict.fromkeys(default_extractor(data.name) if n == "auto" else n for n in spec.extractors)
        self._metrics: list[tuple[ExtractorSource, dict[str, AnyMetric]]] = []
        for source in map(find_extractor, names):
            self._metrics.append((source, self._applicable(source, chosen)))
        self._prepared: list[PreparedExtractor] | None = None

    def prepare(self, progress: ProgressCallback | None = None) -> None:
        """Load, download or train the extractors; compute real features and both references or read the cache."""
        if self._prepared is not None:
            return
        images = self.n_real + self.images.n_other + self.n_fake
        counter = _counter(progress, images * len(self._metrics))
        extractors = [(source.build(self.context), applicable) for source, applicable in self._metrics]
        self._prepared = [
            PreparedExtractor(extractor, self._protocol(extractor), applicable, self.images, self.cache, counter)
            for extractor, applicable in extractors
        ]

    def missing_draws(self, scores: Sequence[Score], step: int, *, conditional: bool = False) -> tuple[int, ...]:
        """Return the draws of the spec for which a requested (extractor, column) has no score at `step`.

        Metrics of labels are requested of conditional models only.
        """
        existing = {(score.draw, score.protocol.extractor, score.metric) for score in self.requested(scores, step)}
        columns = self._columns(conditional=conditional)
        return tuple(
            draw for draw in range(self.spec.draws) if not {(draw, *column) for column in columns} <= existing
        )

    def requested(self, scores: Sequence[Score], step: int) -> list[Score]:
        """Return those of a run's scores that the spec asks for, of the last checkpoint at `step`.

        They have this evaluator's numbers of images, reference split, weights, BatchNorm statistics and KID subset
        size. Hashes and versions are not compared: an upgrade requires no new evaluation.
        """
        settings, columns = self._settings(), self._columns(conditional=True)
        return [
            score
            for score in scores
            if (score.step, score.checkpoint) == (step, "last")
            and score.draw < self.spec.draws
            and (score.protocol.extractor, score.metric) in columns
            and all(getattr(score.protocol, name) == value for name, value in settings.items())
        ]

    def _columns(self, *, conditional: bool) -> set[tuple[str, str]]:
        """Return the requested (extractor, column) pairs."""
        return {
            (source.name, column.name)
            for source, applicable in self._metrics
            for name, metric in applicable.items()
            for column in columns_of([name])
            if conditional or not isinstance(metric, LabelMetric)
        }

    def score(
        self,
        fakes: Tensor,
        *,
        epoch: int,
        step: int,
        draw: int = 0,
        checkpoint: WhichCheckpoint = "last",
        progress: ProgressCallback | None = None,
        labels: Tensor | None = None,
    ) -> list[Score]:
        """Return one score per extractor and column for `fakes`, uint8 [n_fake, C, H, W] of any size and device.

        `labels`, int64 [n_fake], are the classes that a conditional model was asked for. Each extractor processes
        each image once. Raises ValueError for another dtype, shape or count.
        """
        self._check(fakes)
        self.prepare()
        assert self._prepared is not None
        images = resized(fakes, self.data.test.shape[-1])
        counter = _counter(progress, len(images) * len(self._prepared))
        scores: list[Score] = []
        for prepared in self._prepared:
            values = prepared.values(images, counter, labels=labels)
            scores += [
                Score(
                    metric=column.name,
                    title=column.title,
                    better=column.better,
                    value=values[column.name],
                    protocol=prepared.protocol,
                    draw=draw,
                    epoch=epoch,
                    step=step,
                    checkpoint=checkpoint,
                    weights=prepared.protocol.weights,
                    real_reference=prepared.real_reference.get(column.name),
                    noise_reference=prepared.noise_reference.get(column.name),
                )
                for column in prepared.columns
                if column.name in values
            ]
        return scores

    def _applicable(self, source: ExtractorSource, chosen: dict[str, AnyMetric]) -> dict[str, AnyMetric]:
        """Return the metrics that can be computed with an extractor; raise InputError if there are none."""
        source.check(self.context)
        own = source.dataset == self.data.name
        applicable = {name: metric for name, metric in chosen.items() if own or not metric.needs_classes}
        if not applicable:
            raise InputError(
                f"{', '.join(chosen)} with {source.name}: its logits are not the classes of {self.data.name}; "
                "add another metric, or give --extractors auto"
            )
        for metric in applicable.values():
            metric.check(source.feature_dim, self.n_real, self.n_fake)
        return applicable

    def _settings(self) -> dict[str, Any]:
        """Return the fields of the protocol that a user sets."""
        return {
            "reference_split": self.spec.reference_split,
            "n_real": self.n_real,
            "n_fake": self.n_fake,
            "weights": WEIGHTS,
            "batch_norm": self.spec.batch_norm_protocol,
            "kid_subset_size": subset_size(self.n_fake, self.n_real),
        }

    def _protocol(self, extractor: Extractor) -> EvaluationProtocol:
        height, width = self.data.test.shape[-2:]
        return EvaluationProtocol(
            dataset=self.data.name,
            dataset_sha256=self.data.sha256,
            extractor=extractor.name,
            extractor_sha256=extractor.sha256,
            resize=f"bilinear-antialias to {height}x{width}",
            seed=SEED,
            torch_fidelity_version=VERSION,
            **self._settings(),
        )

    def _check(self, fakes: Tensor) -> None:
        channels = self.data.test.shape[1]
        if fakes.dtype != torch.uint8:
            raise ValueError(f"images are {fakes.dtype}: give uint8 from 0 to 255")
        if fakes.ndim != 4 or fakes.shape[1] != channels:
            raise ValueError(f"images are {list(fakes.shape)}: give [{self.n_fake}, {channels}, H, W]")
        if len(fakes) != self.n_fake:
            raise ValueError(f"got {len(fakes)} images: this protocol requires {self.n_fake}")


def _counter(progress: ProgressCallback | None, total: int) -> ImageCounter:
    done = 0

    def count(images: int) -> None:
        nonlocal done
        done += images
        if progress is not None:
            progress(done, total)

    return count
