from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gan_bench.record import Checkpoint, EpochRecord, RunRecord, Score
from gan_bench.spec import EvalProtocol, Evaluation, RunSpec
from gan_bench.store.store import Store


@pytest.fixture
def make_spec() -> Callable[..., RunSpec]:
    def make(seed: int = 0, model: str = "vanilla", **settings: object) -> RunSpec:
        return RunSpec(
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
            evaluation=Evaluation(),
        )

    return make


@pytest.fixture
def spec(make_spec: Callable[..., RunSpec]) -> RunSpec:
    return make_spec()


@pytest.fixture
def notices() -> list[str]:
    return []


@pytest.fixture
def store(tmp_path: Path, notices: list[str]) -> Store:
    return Store.open(tmp_path / "out", create=True, notify=notices.append)


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
    protocol = EvalProtocol(
        dataset="digits",
        dataset_sha256="0" * 64,
        reference_split="test",
        n_real=100,
        n_fake=100,
        extractor="mnist-cnn",
        extractor_sha256="1" * 64,
        resize="none",
        seed=0,
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
            floor=0.5,
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
    def make(spec: RunSpec, status: str = "done", **values: object) -> RunRecord:
        return RunRecord.model_validate({"run_id": spec.run_id, "status": status, **values})

    return make


@pytest.fixture
def trained(
    make_epoch: Callable[..., EpochRecord],
    make_score: Callable[..., Score],
    make_checkpoint: Callable[..., Checkpoint],
) -> Callable[[Store, RunSpec, int], None]:
    """Three reports an epoch, then the checkpoint: what the pipeline writes on its way."""

    def train(store: Store, spec: RunSpec, epochs: int) -> None:
        store.begin(spec, {"torch": "2"})
        for epoch in range(1, epochs + 1):
            store.add_epoch(spec, make_epoch(epoch))
            store.add_grid(spec, epoch, np.full((8, 8), epoch, np.uint8))
            store.add_scores(spec, [make_score(step=epoch * 10)])
            store.checkpoint(spec, make_checkpoint(epoch * 10))

    return train


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test cuts the power: what was written is there without fsync, which costs tens of milliseconds."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
