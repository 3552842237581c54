"""Whole runs for tests: the Python API on small matrices, and what is read back from the results folder."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from safetensors.numpy import load_file

import gan_bench as gb
from gan_bench.core.events import EpochFinished, Event, Notice, OnEvent, ignore_events
from gan_bench.core.records import RunRecord, StoredRun
from gan_bench.runner.plan import Plan
from gan_bench.store.store import Store

SMALL: dict[str, Any] = {
    "models": ("vanilla",),
    "dataset": "synthetic",
    "epochs": 4,
    "batch_size": 128,
    "seeds": (0,),
    "eval_samples": 160,
    "settings": {"width": 0.0625},
}
"""Four epochs of four steps."""
TIMES = ("epoch_seconds", "images_per_second")
E = TypeVar("E")


class Trial:
    """A small matrix with options; `changes` are of the matrix."""

    def __init__(self, out: Path, cache: Path, changes: Mapping[str, Any], options: Mapping[str, Any]) -> None:
        self.out = out
        self.matrix = gb.Matrix(**{**SMALL, **changes})
        base = {"out": out, "preset": "smoke", "device": "cpu", "cache_dir": cache, "offline": True}
        self.options = gb.Options(**{**base, **options})

    def plan(self) -> Plan:
        return gb.plan(self.matrix, self.options)

    def run(self, on_event: OnEvent = ignore_events) -> list[RunRecord]:
        return gb.run(self.matrix, self.options, on_event)

    def events(self) -> list[Event]:
        """Run, and return every event."""
        events: list[Event] = []
        self.run(events.append)
        return events

    def stored(self) -> list[StoredRun]:
        return Store.open(self.out, create=False).runs()

    def folders(self) -> list[Path]:
        return sorted((self.out / "runs").iterdir())

    def with_changes(self, **changes: Any) -> Trial:
        """Return a trial on the same folder with another matrix."""
        trial = Trial(self.out, Path(), {}, {})
        trial.matrix, trial.options = self.matrix.model_copy(update=changes), self.options
        return trial

    def start_from(self, trained: Trial) -> Trial:
        """Copy the results of an earlier trial to this one's folder, instead of training them again."""
        shutil.copytree(trained.out, self.out)
        return self


def of_type(events: list[Event], kind: type[E]) -> list[E]:
    return [event for event in events if isinstance(event, kind)]


def notices(events: list[Event]) -> list[str]:
    return [event.text for event in of_type(events, Notice)]


def interrupt_after(epoch: int) -> OnEvent:
    """A listener that raises KeyboardInterrupt once an epoch is finished."""

    def on_event(event: Event) -> None:
        if isinstance(event, EpochFinished) and event.epoch.epoch == epoch:
            raise KeyboardInterrupt

    return on_event


def epoch_rows(folder: Path) -> list[dict[str, str]]:
    """epochs.csv without its times."""
    with (folder / "epochs.csv").open() as file:
        return [{key: row[key] for key in row if key not in TIMES} for row in csv.DictReader(file)]


def score_values(folder: Path) -> list[tuple[Any, ...]]:
    """Every score: metric, reference split, images, draw, checkpoint, step, value."""
    if not (folder / "scores.json").exists():
        return []
    scores = json.loads((folder / "scores.json").read_text())
    keys = ("metric", "draw", "checkpoint", "step", "value")
    parts = ("reference_split", "n_real", "n_fake", "extractor", "batch_norm")
    return sorted((*(s[key] for key in keys[:-1]), *(s["protocol"][p] for p in parts), s["value"]) for s in scores)


def training_files(folder: Path) -> dict[str, str]:
    """The SHA-256 of every file of a run that an evaluation must not change."""
    changed = ("scores.json", "record.json", "SHA256SUMS")
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in changed
    }


def assert_equal_runs(one: Path, other: Path) -> None:
    """Assert bitwise equal training: losses, weights, optimizer state, scores and sample grids."""
    assert one.name == other.name
    assert epoch_rows(one) == epoch_rows(other)
    weights, expected = load_file(one / "checkpoint.safetensors"), load_file(other / "checkpoint.safetensors")
    assert weights.keys() == expected.keys()
    for name, value in weights.items():
        np.testing.assert_array_equal(value, expected[name], err_msg=name)
    assert score_values(one) == score_values(other)
    for picture in sorted((other / "samples").iterdir()):
        assert (one / "samples" / picture.name).read_bytes() == picture.read_bytes(), picture.name
