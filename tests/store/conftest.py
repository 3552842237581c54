"""Specs, records and stores for tests of the store."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers.events import notices_into

from gan_bench.core.evaluation_spec import EvaluationProtocol
from gan_bench.core.records import Checkpoint, EpochRecord, RunRecord, Score
from gan_bench.core.training_spec import TrainingSpec
from gan_bench.store.store import Store


@pytest.fixture
def make_spec() -> Callable[..., TrainingSpec]:
    def make(seed: int = 0, model: str = "vanilla", **settings: object) -> TrainingSpec:
        return TrainingSpec(
            model=model,
            loss="bce",
            dataset="digits",
            image_size=28,
            channels=1,
            seed=seed,
            lr_g=2e-4,
            lr_d=2e-4,
            batch_size=64,
            epochs=3,
            settings={"width": 0.5, **settings},
        )

    return make


@pytest.fixture
def spec(make_spec: Callable[..., TrainingSpec]) -> TrainingSpec:
    return make_spec()


@pytest.fixture
def notices() -> list[str]:
    return []


@pytest.fixture
def store(tmp_path: Path, notices: list[str]) -> Store:
    return Store.open(tmp_path / "out", create=True, on_event=notices_into(notices))


@pytest.fixture
def make_epoch() -> Callable[..., EpochRecord]:
    def make(epoch: int, step: int | None = None, d_loss: float = 0.7) -> EpochRecord:
        return EpochRecord(
            epoch=epoch,
            step=epoch * 10 if step is None else step,
            d_loss=d_loss,
            g_loss=0.1 + 0.2,
            d_real_accuracy=0.5,
            d_fake_accuracy=1 / 3,
            epoch_seconds=1.5,
            images_per_second=1e5,
        )

    return make


@pytest.fixture
def make_score() -> Callable[..., Score]:
    protocol = EvaluationProtocol(
        dataset="digits",
        dataset_sha256="0" * 64,
        reference_split="test",
        n_real=100,
        n_fake=100,
        extractor="mnist-cnn",
        extractor_sha256="1" * 64,
        resize="none",
        seed=0,
        kid_subset_size=50,
        torch_fidelity_version="0.4.0",
    )

    def make(step: int = 30, value: float = 6.5, metric: str = "fid") -> Score:
        return Score(
            metric=metric,
            title=metric.upper(),
            better="lower",
            value=value,
            protocol=protocol,
            epoch=step // 10,
            step=step,
            real_reference=0.5,
        )

    return make


@pytest.fixture
def make_checkpoint() -> Callable[..., Checkpoint]:
    def make(step: int = 10, **state: object) -> Checkpoint:
        arrays = {"g.w": np.full((3, 4), step, np.float32), "rng": np.arange(16, dtype=np.uint8)}
        return Checkpoint(arrays, {"epoch": step // 10, "step": step, **state})

    return make


@pytest.fixture
def make_record() -> Callable[..., RunRecord]:
    def make(spec: TrainingSpec, status: str = "done", **values: object) -> RunRecord:
        return RunRecord.model_validate({"run_id": spec.run_id, "status": status, **values})

    return make


@pytest.fixture
def trained(
    make_epoch: Callable[..., EpochRecord],
    make_score: Callable[..., Score],
    make_checkpoint: Callable[..., Checkpoint],
) -> Callable[[Store, TrainingSpec, int], None]:
    """Write some epochs of a run: their record, grid and scores, then a checkpoint; the run keeps its lease."""

    def train(store: Store, spec: TrainingSpec, epochs: int) -> None:
        store.begin(spec, {"torch": "2"})
        for epoch in range(1, epochs + 1):
            store.add_epoch(spec, make_epoch(epoch))
            store.add_grid(spec, epoch, np.full((8, 8), epoch, np.uint8))
            store.add_scores(spec, [make_score(step=epoch * 10)])
            store.checkpoint(spec, make_checkpoint(epoch * 10))

    return train


@pytest.fixture(autouse=True)
def _no_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip fsync, which costs tens of milliseconds: no test cuts the power."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
