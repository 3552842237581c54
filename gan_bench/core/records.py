"""Records of a run: epochs, scores, outcome, checkpoints and step profiles. No torch."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from gan_bench.core.evaluation_spec import EvaluationProtocol, Weights
from gan_bench.core.frozen import (
    Bytes,
    Counter,
    Fraction,
    Frozen,
    Joules,
    Key,
    Line,
    Measure,
    Seconds,
    Text,
    Throughput,
)
from gan_bench.core.option_fields import Count
from gan_bench.core.training_spec import TrainingSpec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Arrays: TypeAlias = Mapping[str, NDArray[Any]]
    Images: TypeAlias = NDArray[np.uint8]

SCHEMA_VERSION = 2
PLUGINS = "plugins"
"""Key of environment.json: the names of the `--plugin` files, without folders."""

Status: TypeAlias = Literal["done", "diverged", "failed"]
Verdict: TypeAlias = Literal["ok", "collapsed", "memorised", "undertrained", "inconclusive", ""]
"""`inconclusive`: the computed metrics can't tell; empty: not judged, for there are no scores."""
WhichCheckpoint: TypeAlias = Literal["last", "best"]


class EpochRecord(Frozen):
    """One line of epochs.csv. Losses and accuracies are means over the epoch's steps."""

    epoch: Counter
    step: Counter
    d_loss: Measure
    g_loss: Measure
    d_real_accuracy: Fraction
    d_fake_accuracy: Fraction
    epoch_seconds: Seconds
    images_per_second: Throughput


class Score(Frozen):
    """One metric's value with its protocol and the values of both references under that protocol."""

    metric: Key
    """The column's name, such as fid, inception_score_mean, kid_mean, precision, modes_covered."""
    title: Line
    """Its name in tables and on axes, such as FID."""
    better: Literal["lower", "higher"]
    value: Measure
    protocol: EvaluationProtocol
    draw: Counter = 0
    """Which of the independent sample sets of one generator, from 0."""
    epoch: Counter
    step: Counter
    checkpoint: WhichCheckpoint = "last"
    weights: Weights = "raw"
    real_reference: Measure | None = None
    """The value of real images of the other split: training images for `test`, test images for `train`."""
    noise_reference: Measure | None = None
    """The value of uniform noise."""

    @property
    def full_title(self) -> str:
        """The title; FID with its extractor, for on another one the numbers have another scale."""
        return f"{self.title} ({self.protocol.extractor})" if self.metric == "fid" else self.title


class RunRecord(Frozen):
    """record.json: the outcome of a training; written last, so its presence means that the run is trained."""

    schema_version: int = SCHEMA_VERSION
    run_id: Line
    status: Status
    verdict: Verdict = ""
    verdict_reason: Text = ""
    reason: Text = ""
    """Why the run failed or diverged; empty for a run that is done."""
    log_tail: Text = ""
    """The last lines that a failed run's process printed, or its traceback."""
    caveat: Text = ""
    """Why a resumed run may differ from an uninterrupted one: other code, another machine, a GPU."""
    attempts: Counter = 1
    steps: Counter = 0
    epochs: Counter = 0
    train_seconds: Seconds = 0.0
    """Training only, without warm-up, evaluation and disk; of the whole group, not divided by its lanes."""
    eval_seconds: Seconds = 0.0
    """Sampling and scoring of this run, all evaluations together."""
    warmup_seconds: Seconds = 0.0
    images_per_second: Throughput | None = None
    """Real images of this run trained on per second of its group's training time."""
    peak_memory_bytes: Bytes | None = None
    """While training, of the whole group. On a GPU: the peak that torch allocated on it, data included. On a CPU:
    the process's peak resident size until its first evaluation."""
    host_peak_memory_bytes: Bytes | None = None
    """The process's peak resident size while it trained this run."""
    energy_joules: Joules | None = None
    """Of the device while training, of the whole group, other processes included; None where not measured."""
    energy_source: Line = ""
    """`nvml` for a GPU, `rapl` for the processor packages of a CPU; empty where not measured."""
    g_params: Counter = 0
    d_params: Counter = 0
    step_flops: Bytes | None = None
    device: Line = ""
    device_name: Line = ""
    lanes: Count = 1
    best_epoch: Counter | None = None
    """The epoch of the best checkpoint, for runs trained with `--eval-every`."""
    started_at: Line = ""
    finished_at: Line = ""
    dataset_requested: Text = ""
    evaluation_failure: Text = ""
    """Why the last evaluation of a trained run failed; the same command evaluates it again."""

    @property
    def succeeded(self) -> bool:
        """Whether the run is trained and its last evaluation did not fail."""
        return self.status != "failed" and not self.evaluation_failure

    @property
    def failure(self) -> str:
        """Why the run's training or evaluation failed; empty for a run that succeeded."""
        return self.reason if self.status == "failed" else self.evaluation_failure


@dataclass(frozen=True)
class StoredRun:
    """A run read from the store: everything a report needs, and the folder of its sample grids."""

    spec: TrainingSpec
    record: RunRecord
    epochs: Sequence[EpochRecord]
    scores: Sequence[Score]
    environment: Mapping[str, Any]
    folder: Path

    @property
    def epoch_seconds_median(self) -> float | None:
        """The median epoch time in seconds; a shorter last epoch is left out where there are others."""
        epochs = self.epochs
        if len(epochs) > 1 and epochs[-1].step - epochs[-2].step < epochs[0].step:
            epochs = epochs[:-1]
        return statistics.median(epoch.epoch_seconds for epoch in epochs) if epochs else None


def plugin_names(environment: Mapping[str, Any]) -> list[str]:
    """Return the names of the plugin files that a run was given, as recorded."""
    names = environment.get(PLUGINS)
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []


@dataclass(frozen=True)
class LeftOut:
    """A run that is left out of everything that is read, and why: its files are damaged, or out of bounds."""

    run_id: str
    reason: str


@dataclass(frozen=True)
class Checkpoint:
    """A run's complete training state: arrays are stored as safetensors, `state` as JSON; never pickle."""

    arrays: Arrays
    state: Mapping[str, Any]


class OperatorTime(Frozen):
    """Time of one operator (CPU) or kernel (GPU) in a step: milliseconds and calls per step."""

    name: str
    milliseconds: float
    calls: float


class StepProfile(Frozen):
    """Where the time of a step goes: means over steps that are not part of the run; see `run --profile`."""

    device: str
    lanes: int
    steps: int
    milliseconds: float
    """A step without the profiler."""
    profiled_milliseconds: float
    """A step under the profiler."""
    operators: tuple[OperatorTime, ...]
    """The longest ones, in descending order of time."""
