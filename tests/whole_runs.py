"""Whole runs for tests: the Python API on small matrices, and what is read back from the results folder."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

import gan_bench as gb
from gan_bench.planning import Plan
from gan_bench.record import Observer, Progress, RunRecord, StoredRun
from gan_bench.store.store import Store

SMALL = {
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


class Trial:
    """A matrix with where it is run."""

    def __init__(self, out: Path, cache: Path, changes: Mapping[str, Any], options: Mapping[str, Any]) -> None:
        self.out = out
        self.matrix = gb.Matrix(**{**SMALL, **changes})
        base = {"out": out, "preset": "smoke", "device": "cpu", "cache_dir": cache, "offline": True}
        self.options = gb.Options(**{**base, **options})

    def plan(self) -> Plan:
        return gb.plan(self.matrix, self.options)

    def run(self, observer: Observer = lambda news: None) -> list[RunRecord]:
        return gb.run(self.matrix, self.options, observer)

    def stored(self) -> list[StoredRun]:
        return Store.open(self.out, create=False).runs()

    def folders(self) -> list[Path]:
        return sorted((self.out / "runs").iterdir())


def interrupt_after(epoch: int) -> Observer:
    """Press Ctrl-C as soon as an epoch is told of."""

    def observer(news: Progress) -> None:
        if news.kind == "epoch" and news.epoch is not None and news.epoch.epoch == epoch:
            raise KeyboardInterrupt

    return observer


def learned(folder: Path) -> list[dict[str, str]]:
    """epochs.csv without its times."""
    with (folder / "epochs.csv").open() as file:
        return [{key: row[key] for key in row if key not in TIMES} for row in csv.DictReader(file)]


def scored(folder: Path) -> list[tuple[str, str, int, float]]:
    scores = json.loads((folder / "scores.json").read_text())
    return sorted((score["metric"], score["checkpoint"], score["step"], score["value"]) for score in scores)


def assert_equal_runs(one: Path, other: Path) -> None:
    """Two folders hold the same training: bit for bit the same losses, weights and optimiser, scores, pictures."""
    assert one.name == other.name
    assert learned(one) == learned(other)
    weights, expected = load_file(one / "checkpoint.safetensors"), load_file(other / "checkpoint.safetensors")
    assert weights.keys() == expected.keys()
    for name, value in weights.items():
        np.testing.assert_array_equal(value, expected[name], err_msg=name)
    assert scored(one) == scored(other)
    for picture in sorted((other / "samples").iterdir()):
        assert (one / "samples" / picture.name).read_bytes() == picture.read_bytes(), picture.name
