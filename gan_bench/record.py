"""What is kept of a run: records, epochs and scores, and the events and the sink that carry them. No torch."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from pydantic import Field

from gan_bench.spec import EvalProtocol, Frozen, Key, Line, RunSpec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Arrays: TypeAlias = Mapping[str, NDArray[Any]]
    Images: TypeAlias = NDArray[np.uint8]

SCHEMA_VERSION = 1

Status: TypeAlias = Literal["done", "diverged", "failed"]
Verdict: TypeAlias = Literal["ok", "collapsed", "memorised", "undertrained", ""]
Which: TypeAlias = Literal["last", "best"]


class EpochRecord(Frozen):
    """One line of epochs.csv. Losses and accuracies are means over the epoch's steps."""

    epoch: int
    step: int
    d_loss: float
    g_loss: float
    d_real_accuracy: float
    d_fake_accuracy: float
    epoch_seconds: float
    images_per_second: float


class Score(Frozen):
    """One metric's value with its protocol, and what real data (floor) and noise get under the same one."""

    metric: Key
    """The column's name, such as fid, inception_score_mean, kid_mean, precision, modes_covered."""
    title: Line
    """What a table or an axis calls it, such as FID or KID (x 1000)."""
    better: Literal["lower", "higher"]
    value: float
    protocol: EvalProtocol
    epoch: int
    step: int
    checkpoint: Which = "last"
    floor: float | None = None
    noise: float | None = None


class RunRecord(Frozen):
    """record.json: the outcome of a run; written last, so that its presence means the run is over."""

    schema_version: int = SCHEMA_VERSION
    run_id: str
    status: Status
    verdict: Verdict = ""
    verdict_reason: str = ""
    reason: str = ""
    """Why the run failed or diverged; empty for a run that is done."""
    log_tail: str = ""
    """The last lines that a failed run's process printed, or its traceback."""
    caveat: str = ""
    """Why a run that was gone on with may differ from an undisturbed one: other code, another machine, a GPU."""
    attempts: int = 1
    steps: int = 0
    epochs: int = 0
    train_seconds: float = 0.0
    """Training only: warm-up, evaluation and disk apart; of the whole group, not divided by its lanes."""
    eval_seconds: float = 0.0
    warmup_seconds: float = 0.0
    images_per_second: float | None = None
    """Images of this run trained on per second of its group's training time."""
    peak_memory_bytes: int | None = None
    """While training, of the whole group. On a GPU: the most memory that torch had allocated on it, data included.
    On a CPU: the process's peak resident size until its first evaluation."""
    host_peak_memory_bytes: int | None = None
    """The process's peak resident size, evaluations included."""
    g_params: int = 0
    d_params: int = 0
    step_flops: int | None = None
    device: Line = ""
    device_name: Line = ""
    lanes: int = 1
    best_epoch: int | None = None
    started_at: str = ""
    finished_at: str = ""
    dataset_requested: str = ""


@dataclass(frozen=True)
class StoredRun:
    """A run as the store gives it back: everything the report needs, and the folder with its pictures."""

    spec: RunSpec
    record: RunRecord
    epochs: Sequence[EpochRecord]
    scores: Sequence[Score]
    environment: Mapping[str, Any]
    folder: Path

    @property
    def epoch_seconds_median(self) -> float | None:
        """The median epoch time in seconds; a cut-off last epoch is left out where there are others."""
        epochs = self.epochs
        if len(epochs) > 1 and epochs[-1].step - epochs[-2].step < epochs[0].step:
            epochs = epochs[:-1]
        return statistics.median(epoch.epoch_seconds for epoch in epochs) if epochs else None


@dataclass(frozen=True)
class Checkpoint:
    """A lane's whole state: arrays go to safetensors, `state` to JSON; never pickle."""

    arrays: Arrays
    state: Mapping[str, Any]


class TimeShare(Frozen):
    """What a kind of work, or one operator or kernel, takes of a step: milliseconds, and calls, a step."""

    name: str
    work: str
    milliseconds: float
    calls: float | None = None


class StepProfile(Frozen):
    """Where the time of a step goes: means over steps that are none of the run's; see `run --profile`."""

    device: str
    lanes: int
    steps: int
    milliseconds: float
    """A step without the profiler."""
    profiled_milliseconds: float
    """A step under the profiler, which is what the parts below are parts of."""
    work: tuple[TimeShare, ...]
    operators: tuple[TimeShare, ...]
    """The longest ones."""


class Progress(Frozen):
    """One thing that happened, for whoever watches. Fields that don't apply to its kind keep their defaults."""

    kind: Literal["notice", "group", "profile", "step", "epoch", "evaluation", "finished"]
    run_ids: tuple[str, ...] = ()
    text: str = ""
    done: int = 0
    total: int = 0
    epoch: EpochRecord | None = None
    record: RunRecord | None = None
    scores: tuple[Score, ...] = Field(default=())
    profile: StepProfile | None = None


Observer: TypeAlias = Callable[[Progress], None]


class RunSink(Protocol):
    """What the pipeline asks of a store. Every write is atomic: a reader sees the old file or the new one.

    Writes raise RunTakenError, and change nothing, where another process has taken the run over.
    """

    def claim(self, spec: RunSpec) -> bool:
        """Take a run for this process; False where another process trains it, or it has its result already."""

    def release(self, spec: RunSpec) -> None:
        """Let others have a run that was claimed; nothing happens if it isn't this process's."""

    def resume(self, spec: RunSpec) -> Checkpoint | None:
        """Return the last checkpoint of an unfinished run, or None; drop what was recorded after it."""

    def begin(self, spec: RunSpec, environment: Mapping[str, Any]) -> int:
        """Create the run's folder with spec.json and environment.json; return the attempt's number, from 1."""

    def add_epoch(self, spec: RunSpec, epoch: EpochRecord) -> None:
        """Append to epochs.csv."""

    def add_scores(self, spec: RunSpec, scores: Sequence[Score]) -> None:
        """Append to scores.json."""

    def add_grid(self, spec: RunSpec, epoch: int, grid: Images) -> None:
        """Write samples/epoch_NNNN.png from uint8 [H, W] or [H, W, 3]."""

    def add_real_grid(self, spec: RunSpec, grid: Images) -> None:
        """Write samples/real.png: real images laid out as the grids are, uint8 [H, W] or [H, W, 3]."""

    def add_trace(self, spec: RunSpec, trace: bytes) -> Path:
        """Write trace.json.gz, what the profiler saw of some steps; return where it is."""

    def checkpoint(self, spec: RunSpec, checkpoint: Checkpoint) -> None:
        """Replace the run's checkpoint."""

    def keep_best(self, spec: RunSpec, checkpoint: Checkpoint) -> None:
        """Replace the run's best checkpoint (the generator's weights and the score that chose it)."""

    def finish(self, spec: RunSpec, record: RunRecord) -> None:
        """Write progress.gif and then record.json, last."""
