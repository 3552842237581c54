"""Run folders in tests of the store."""

from __future__ import annotations

from pathlib import Path

from gan_bench.core.training_spec import TrainingSpec
from gan_bench.store.store import Store

RUN_FILES = ["spec.json", "environment.json", "epochs.csv", "scores.json", "record.json"]
WEIGHT_FILES = ["checkpoint.json", "checkpoint.safetensors", "best.json", "best.safetensors"]


def folder_of(store: Store, spec: TrainingSpec) -> Path:
    """The folder of a run."""
    return store.root / "runs" / spec.run_id


def file_bytes(folder: Path) -> dict[Path, bytes]:
    """The content of every file in `folder` and below; links to folders are not followed."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
