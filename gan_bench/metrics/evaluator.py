"""The scoring of generated images: reference, extractors and metrics put together under a stated protocol."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from gan_bench.data.dataset import ImageData, Notify, resized
from gan_bench.environment import full_precision
from gan_bench.errors import InputError
from gan_bench.metrics.cache import ScoreCache
from gan_bench.metrics.extractors.extractor import (
    Advance,
    Context,
    Extractor,
    ExtractorSource,
    default_cache,
)
from gan_bench.metrics.extractors.find import default_extractor, find_extractor
from gan_bench.metrics.fidelity import SEED, VERSION
from gan_bench.metrics.metric import Measure, Metric, metrics, resolve_metrics
from gan_bench.record import Score, Which
from gan_bench.spec import EvalProtocol, Evaluation

Watch: TypeAlias = Callable[[int, int], None]
"""Told (images done, images in all) as the extractors see them."""


@dataclass(frozen=True)
class _Bench:
    """An extractor made ready: its protocol, and per metric the measure against the real images."""

    extractor: Extractor
    protocol: EvalProtocol
    measures: dict[str, Measure]
    floor: dict[str, float]
    noise: dict[str, float]


class Evaluator:
    """Scores batches of generated images against a data set's test split.

    What can't work is refused at once, with an InputError: an unknown metric or extractor, too few images,
    weights that can't be had. `cache_dir` is where features are kept; None: a folder in the user's cache.
    """

    def __init__(
        self,
        data: ImageData,
        plan: Evaluation,
        *,
        device: torch.device,
        cache_dir: Path | None,
        offline: bool,
        notify: Notify,
    ) -> None:
        folder = cache_dir if cache_dir is not None else default_cache()
        self.data = data
        self.context = Context(data, device, folder, offline, notify)
        self.cache = ScoreCache(folder, notify)
        self.n_fake = min(plan.samples, len(data.train))
        self.n_real = min(plan.samples, len(data.test))
        chosen = {name: metrics.get(name) for name in resolve_metrics(plan.metrics)}
        names = dict.fromkeys(default_extractor(data.name) if n == "auto" else n for n in plan.extractors)
        self._plan: list[tuple[ExtractorSource, dict[str, Metric]]] = []
        for source in map(find_extractor, names):
            self._plan.append((source, self._suited(source, chosen)))
        self._ready: list[_Bench] | None = None

    @property
    def reference(self) -> Tensor:
        """The real images that generated ones are compared with, uint8 [n_real, C, H, W]."""
        return self.data.test[_subset(len(self.data.test), self.n_real)]

    def prepare(self, progress: Watch | None = None) -> None:
        """Load (or download, or train) the extractors, and score real images and noise, once per protocol."""
        if self._ready is not None:
            return
        counter = _counter(progress, (self.n_real + 2 * self.n_fake) * len(self._plan))
        self._ready = [self._bench(source.build(self.context), suited, counter) for source, suited in self._plan]

    def score(
        self,
        fakes: Tensor,
        *,
        epoch: int,
        step: int,
        checkpoint: Which = "last",
        progress: Watch | None = None,
    ) -> list[Score]:
        """Return a score a column and extractor of `fakes`, uint8 [n_fake, C, H, W] of any size, on any device.

        Each extractor sees each image once. Raises ValueError for images of another type, shape or number.
        """
        self._check(fakes)
        self.prepare()
        assert self._ready is not None
        images = self._native(fakes)
        counter = _counter(progress, len(images) * len(self._ready))
        scores: list[Score] = []
        for bench in self._ready:
            values = _measured(bench.extractor, bench.measures, images, counter)
            scores += [
                Score(
                    metric=column.name,
                    title=column.title,
                    better=column.better,
                    value=values[column.name],
                    protocol=bench.protocol,
                    epoch=epoch,
                    step=step,
                    checkpoint=checkpoint,
                    floor=bench.floor[column.name],
                    noise=bench.noise[column.name],
                )
                for name in bench.measures
                for column in metrics.get(name).columns
            ]
        return scores

    def _suited(self, source: ExtractorSource, chosen: dict[str, Metric]) -> dict[str, Metric]:
        source.check(self.context)
        own = source.dataset == self.data.name
        suited = {name: metric for name, metric in chosen.items() if own or not metric.needs_classes}
        if not suited:
            raise InputError(
                f"{', '.join(chosen)} with {source.name}: it does not know the classes of {self.data.name}; "
                "add another metric, or give --extractors auto"
            )
        for metric in suited.values():
            metric.check(source.feature_dim, self.n_real, self.n_fake)
        return suited

    def _bench(self, extractor: Extractor, suited: dict[str, Metric], advance: Advance) -> _Bench:
        protocol = self._protocol(extractor)
        key = {**protocol.model_dump(mode="json"), "device": extractor.device.type}
        real = self.cache.features({**key, "n_fake": 0})
        if real is None or len(real) != self.n_real:
            real = extractor(self.reference, advance)
            self.cache.keep_features({**key, "n_fake": 0}, real)
        else:
            advance(self.n_real)
        real = real.to(extractor.scoring_device)
        with torch.inference_mode(), full_precision(extractor.device):
            measures = {name: metric.against(real) for name, metric in suited.items()}
        floor, noise = self._baselines(extractor, measures, suited, key, advance)
        return _Bench(extractor, protocol, measures, floor, noise)

    def _baselines(
        self,
        extractor: Extractor,
        measures: dict[str, Measure],
        suited: dict[str, Metric],
        key: dict[str, object],
        advance: Advance,
    ) -> tuple[dict[str, float], dict[str, float]]:
        """Return what real training images and what uniform noise get, column by column."""
        wanted = {column.name for metric in suited.values() for column in metric.columns}
        found = []
        for what, images in (("floor", self._floor_images), ("noise", self._noise_images)):
            numbers = self.cache.numbers({**key, "baseline": what})
            if wanted <= numbers.keys():
                advance(self.n_fake)
            else:
                numbers |= _measured(extractor, measures, self._native(images()), advance)
                self.cache.keep_numbers({**key, "baseline": what}, numbers)
            found.append(numbers)
        return found[0], found[1]

    def _floor_images(self) -> Tensor:
        return self.data.train[_subset(len(self.data.train), self.n_fake)]

    def _noise_images(self) -> Tensor:
        shape = (self.n_fake, *self.data.train.shape[1:])
        return torch.from_numpy(np.random.RandomState(SEED).randint(0, 256, size=shape, dtype=np.uint8))

    def _native(self, images: Tensor) -> Tensor:
        return resized(images, self.data.test.shape[-1])

    def _protocol(self, extractor: Extractor) -> EvalProtocol:
        height, width = self.data.test.shape[-2:]
        return EvalProtocol(
            dataset=self.data.name,
            dataset_sha256=self.data.sha256,
            reference_split="test",
            n_real=self.n_real,
            n_fake=self.n_fake,
            extractor=extractor.name,
            extractor_sha256=extractor.sha256,
            resize=f"bilinear-antialias to {height}x{width}",
            seed=SEED,
            torch_fidelity_version=VERSION,
        )

    def _check(self, fakes: Tensor) -> None:
        channels = self.data.test.shape[1]
        if fakes.dtype != torch.uint8:
            raise ValueError(f"images are {fakes.dtype}: give uint8 from 0 to 255")
        if fakes.ndim != 4 or fakes.shape[1] != channels:
            raise ValueError(f"images are {list(fakes.shape)}: give [{self.n_fake}, {channels}, H, W]")
        if len(fakes) != self.n_fake:
            raise ValueError(f"there are {len(fakes)} images: this protocol scores {self.n_fake}")


def _measured(
    extractor: Extractor, measures: dict[str, Measure], images: Tensor, advance: Advance
) -> dict[str, float]:
    """Return every column's number for images of the native size."""
    features = extractor(images, advance)
    with torch.inference_mode(), full_precision(extractor.device):
        return {name: value for measure in measures.values() for name, value in measure(features).items()}


def _subset(n: int, k: int) -> Tensor:
    """Return k of n rows, chosen at random but always the same: MNIST's test images are not in random order."""
    return torch.from_numpy(np.random.RandomState(SEED).permutation(n)[:k])


def _counter(progress: Watch | None, total: int) -> Advance:
    done = 0

    def advance(more: int) -> None:
        nonlocal done
        done += more
        if progress is not None:
            progress(done, total)

    return advance
