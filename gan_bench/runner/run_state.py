"""State of one run while its group is trained: times, best scores, and the record at its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import torch

from gan_bench.core.records import RunRecord, Score, Status
from gan_bench.core.training_spec import TrainingSpec
from gan_bench.devices import memory, select
from gan_bench.training.flops import step_flops
from gan_bench.training.trainer import Trainer


def utc_now() -> str:
    """Return the current time as records contain it: ISO 8601, UTC, whole seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass
class RunState:
    """One run of a group in training; `lane` is its index in the trainer."""

    spec: TrainingSpec
    lane: int
    attempt: int
    started_at: str
    active: bool = True
    train_seconds: float = 0.0
    eval_seconds: float = 0.0
    warmup_seconds: float = 0.0
    peak_memory_bytes: int | None = None
    """While training, on the device; evaluations are not included."""
    energy_joules: float | None = 0.0
    """Of the group so far; None from the first stretch on that was not measured."""
    energy_source: str = ""
    best: list[Score] = field(default_factory=list)
    """Scores of the best evaluation so far, by the first metric; empty without --eval-every."""

    SAVED = ("started_at", "train_seconds", "eval_seconds", "warmup_seconds", "peak_memory_bytes", "energy_joules")

    def state(self) -> dict[str, Any]:
        """Return the part that is saved in a checkpoint, as JSON."""
        values = {name: getattr(self, name) for name in self.SAVED}
        return {**values, "best": [score.model_dump(mode="json") for score in self.best]}

    def load(self, state: Mapping[str, Any]) -> None:
        """Restore what `state` returned."""
        if "energy_joules" not in state:  # of an earlier version: a part was not measured
            self.energy_joules = None
        for name in self.SAVED:
            setattr(self, name, state.get(name, getattr(self, name)))
        self.best = [Score(**each) for each in state["best"]]

    def add_energy(self, joules: float | None, source: str) -> None:
        """Add the energy of a stretch of training."""
        self.energy_source = source
        self.energy_joules = None if joules is None or self.energy_joules is None else self.energy_joules + joules

    def update_best(self, scores: Sequence[Score]) -> bool:
        """Keep an evaluation's scores if they are the best so far; return whether they are."""
        if self.best and not _is_better(scores[0], self.best[0]):
            return False
        self.best = [score.model_copy(update={"checkpoint": "best"}) for score in scores]
        return True

    def record(
        self, status: Status, reason: str, trainer: Trainer | None, device: torch.device, lanes: int
    ) -> RunRecord:
        """Return the run's record, as one of `lanes`; `trainer` is None if it could not be built."""
        steps, epochs = (trainer.step, trainer.epoch) if trainer else (0, 0)
        g_params, d_params = trainer.group.parameters() if trainer else (0, 0)
        images = steps * trainer.images_per_step if trainer else 0
        return RunRecord(
            run_id=self.spec.run_id,
            status=status,
            reason=reason,
            attempts=self.attempt,
            steps=steps,
            epochs=epochs,
            train_seconds=self.train_seconds,
            eval_seconds=self.eval_seconds,
            warmup_seconds=self.warmup_seconds,
            images_per_second=images / self.train_seconds if self.train_seconds else None,
            peak_memory_bytes=self.peak_memory_bytes,
            host_peak_memory_bytes=memory.peak_memory(device)[1],
            energy_joules=self.energy_joules if self.energy_source else None,
            energy_source=self.energy_source if self.energy_joules is not None else "",
            g_params=g_params,
            d_params=d_params,
            step_flops=step_flops(self.spec) if trainer else None,
            device=device.type,
            device_name=select.device_name(device),
            lanes=lanes,
            best_epoch=self.best[0].epoch if self.best else None,
            started_at=self.started_at,
            finished_at=utc_now(),
        )


def _is_better(new: Score, old: Score) -> bool:
    return new.value < old.value if new.better == "lower" else new.value > old.value
