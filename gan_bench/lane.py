"""One run of a group, as the pipeline knows it on its way: its times, its scores, and the record of its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import torch

from gan_bench import environment
from gan_bench.record import RunRecord, Score, Status
from gan_bench.spec import RunSpec
from gan_bench.training.flops import step_flops
from gan_bench.training.trainer import Trainer


def now() -> str:
    """Return the time as records have it: ISO 8601, UTC, whole seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass
class Lane:
    """What the pipeline knows of one run while it is trained."""

    spec: RunSpec
    index: int
    attempt: int
    started_at: str
    active: bool = True
    train_seconds: float = 0.0
    eval_seconds: float = 0.0
    warmup_seconds: float = 0.0
    peak_memory_bytes: int | None = None
    """Of training alone, on the device; evaluations have peaks of their own."""
    scores: list[Score] = field(default_factory=list)
    best: list[Score] = field(default_factory=list)

    KEPT = ("started_at", "train_seconds", "eval_seconds", "warmup_seconds", "peak_memory_bytes")

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint keeps of this, as JSON."""
        lists = {
            name: [score.model_dump(mode="json") for score in getattr(self, name)] for name in ("scores", "best")
        }
        return {**{name: getattr(self, name) for name in self.KEPT}, **lists}

    def load_(self, state: Mapping[str, Any]) -> None:
        """Take over what `state` returned."""
        for name in self.KEPT:
            setattr(self, name, state.get(name, getattr(self, name)))
        self.scores = [Score(**each) for each in state["scores"]]
        self.best = [Score(**each) for each in state["best"]]

    def take_(self, scores: Sequence[Score]) -> bool:
        """Take over the newest scores; say whether they are the best so far, by the first metric."""
        self.scores = list(scores)
        if self.best and not _better(self.scores[0], self.best[0]):
            return False
        self.best = [score.model_copy(update={"checkpoint": "best"}) for score in self.scores]
        return True

    def record(
        self, status: Status, reason: str, trainer: Trainer | None, device: torch.device, lanes: int
    ) -> RunRecord:
        """Return the run's outcome, as one of so many lanes; a `trainer` of None never came to be."""
        steps, epochs = (trainer.step, trainer.epoch) if trainer else (0, 0)
        g_params, d_params = trainer.parameters() if trainer else (0, 0)
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
            images_per_second=steps * self.spec.batch_size / self.train_seconds if self.train_seconds else None,
            peak_memory_bytes=self.peak_memory_bytes,
            host_peak_memory_bytes=environment.peak_memory(device)[1],
            g_params=g_params,
            d_params=d_params,
            step_flops=step_flops(self.spec) if trainer else None,
            device=device.type,
            device_name=environment.device_name(device),
            lanes=lanes,
            best_epoch=self.best[0].epoch if self.best else None,
            started_at=self.started_at,
            finished_at=now(),
        )


def _better(new: Score, old: Score) -> bool:
    return new.value < old.value if new.better == "lower" else new.value > old.value
