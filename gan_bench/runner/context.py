"""Runtime context of a run: device, paths, cached data and evaluators."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from gan_bench.core.errors import GanBenchError, InputError
from gan_bench.core.evaluation_spec import EvaluationSpec
from gan_bench.core.events import OnEvent, ignore_events
from gan_bench.core.failures import failure_reason
from gan_bench.core.options import Options
from gan_bench.core.records import Checkpoint
from gan_bench.core.registry import is_built_in
from gan_bench.core.training_spec import TrainingSpec
from gan_bench.data.base import Dataset, ImageData, datasets, resized
from gan_bench.data.batch import Batch
from gan_bench.data.contract import check_data
from gan_bench.metrics.evaluator import Evaluator
from gan_bench.training.sampling import Sampler, load_sampler


@dataclass(frozen=True)
class RunContext:
    """Everything a group of runs needs besides its specs; can be pickled and sent to a worker process.

    `options` are resolved: the device has its number, `data_root` is set.
    """

    options: Options
    evaluation: EvaluationSpec
    dataset_requested: str = ""
    """The data set as typed, such as auto."""
    profiled: frozenset[str] = frozenset()
    """Ids of the runs whose step is profiled before training."""

    @property
    def device(self) -> torch.device:
        """The device to train on."""
        return torch.device(self.options.device)

    @property
    def data_root(self) -> Path:
        """The folder of the data sets."""
        assert self.options.data_root is not None  # resolved by the plan
        return self.options.data_root

    def data(self, name: str, on_event: OnEvent) -> ImageData:
        """Return a data set, cached between the groups of a process."""
        dataset = datasets.get(name)
        if not dataset.is_available(self.data_root):
            dataset.load(self.data_root, offline=self.options.offline, on_event=on_event)  # downloads it
        return _loaded(name, dataset, self.data_root, self.options.offline)

    def training_set(self, spec: TrainingSpec, on_event: OnEvent) -> Batch:
        """Return the training images of a run, uint8 [N, C, H, W], and labels [N], on the device."""
        data = self.data(spec.dataset, on_event)
        if spec.dataset_sha256 and data.sha256 != spec.dataset_sha256:
            raise InputError(f"the images of data set {spec.dataset} have changed since the runs were planned")
        return Batch(resized(data.train, spec.image_size), data.train_labels).to(self.device)

    def sampler(self, spec: TrainingSpec, weights: Checkpoint) -> Sampler:
        """Return a sampler of stored weights, with the BatchNorm statistics that were asked for.

        Classes of a conditional model's samples have the shares that they have among the training images.
        """
        batch_norm, cpu_kernels = self.evaluation.batch_norm, self.options.cpu_kernels
        labels = self.data(spec.dataset, ignore_events).train_labels if spec.n_classes else None
        return load_sampler(spec, weights, self.device, batch_norm, cpu_kernels=cpu_kernels, labels=labels)

    def evaluator(self, dataset: str, on_event: OnEvent) -> Evaluator:
        """Return the evaluator of a data set, cached between the groups of a process."""
        data = self.data(dataset, on_event)
        key = (data.sha256, self.evaluation, self.options.device, self.options.cache_dir, self.options.offline)
        if key not in _evaluators:
            _evaluators.clear()
            _evaluators[key] = Evaluator(
                data,
                self.evaluation,
                device=self.device,
                cache_dir=self.options.cache_dir,
                offline=self.options.offline,
                on_event=on_event,
            )
        return _evaluators[key]


_evaluators: dict[Any, Evaluator] = {}


@functools.lru_cache(maxsize=2)
def _loaded(name: str, dataset: Dataset, root: Path, offline: bool) -> ImageData:
    try:
        return check_data(name, dataset, dataset.load(root, offline=offline, on_event=ignore_events))
    except GanBenchError:
        raise
    except Exception as error:
        if is_built_in(dataset):
            raise
        raise InputError(f"data set {name!r}: load failed: {failure_reason(error)}") from error
