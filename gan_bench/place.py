"""Where runs are trained, and what they find there: data, images on the device, an evaluator."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gan_bench.data.dataset import ImageData, datasets, resized
from gan_bench.metrics.evaluator import Evaluator
from gan_bench.spec import Evaluation, RunSpec


@dataclass(frozen=True)
class Place:
    """Where runs are trained and what they find there; none of it is part of a spec.

    `notify`, in what loads, hears of what takes long: a download, a classifier that is trained.
    """

    device: str
    data_root: Path
    cache_dir: Path | None = None
    offline: bool = False
    dataset_requested: str = ""
    plugins: tuple[Path, ...] = ()
    """Files that register what the runs need; a worker process knows nothing of them otherwise."""
    checkpoint_every: float = 60.0
    """Seconds of training that may be lost at most, long epochs or not."""
    deterministic: bool = False
    """Whether a GPU is to compute in a fixed order."""
    profiled: frozenset[str] = frozenset()
    """Ids of the runs whose step is to be profiled before they are trained."""

    def data(self, name: str, notify: Callable[[str], None]) -> ImageData:
        """Return a data set, kept in memory between the groups of one process."""
        if not datasets.get(name).at_hand(self.data_root):
            datasets.get(name).load(self.data_root, offline=self.offline, notify=notify)  # on disk from now on
        return _loaded(name, self.data_root, self.offline)

    def images(self, spec: RunSpec, notify: Callable[[str], None]) -> Tensor:
        """Return the training images of a run as its trainer takes them: uint8 [N, C, H, W], on the device."""
        return resized(self.data(spec.dataset, notify).train, spec.image_size).to(torch.device(self.device))

    def evaluator(self, data: ImageData, plan: Evaluation, notify: Callable[[str], None]) -> Evaluator:
        """Return an evaluator, kept between the groups of one process: extractors are built once."""
        key = (data.sha256, plan, self.device, self.cache_dir, self.offline)
        if key not in _evaluators:
            _evaluators.clear()
            _evaluators[key] = Evaluator(
                data,
                plan,
                device=torch.device(self.device),
                cache_dir=self.cache_dir,
                offline=self.offline,
                notify=notify,
            )
        return _evaluators[key]


_evaluators: dict[Any, Evaluator] = {}


@functools.lru_cache(maxsize=2)
def _loaded(name: str, root: Path, offline: bool) -> ImageData:
    return datasets.get(name).load(root, offline=offline, notify=lambda text: None)
