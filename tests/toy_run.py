"""A run for tests of the store: everything that the pipeline reports, in its order, and nothing to compute."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from gan_bench.record import Checkpoint, EpochRecord, RunRecord, Score
from gan_bench.spec import EvalProtocol, Evaluation, RunSpec
from gan_bench.store.store import Store

EPOCHS = 2
PROTOCOL = EvalProtocol(
    dataset="digits", dataset_sha256="0" * 64, reference_split="test", n_real=100, n_fake=100,
    extractor="mnist-cnn", extractor_sha256="1" * 64, resize="none", seed=0, torch_fidelity_version="0.4.0",
)  # fmt: skip


def toy_spec(seed: int = 0) -> RunSpec:
    return RunSpec(
        model="vanilla", loss="bce", dataset="digits", image_size=28, channels=1, seed=seed, lr_g=2e-4, lr_d=2e-4,
        batch_size=64, epochs=EPOCHS, settings={}, evaluation=Evaluation(),
    )  # fmt: skip


def train(store: Store, spec: RunSpec, sign: int = 1, finish: bool = True) -> bool:
    """Claim, resume, train and finish, or leave it without an outcome. `sign` tells who trained it."""
    if not store.claim(spec):
        return False
    try:
        found = store.resume(spec)
        store.begin(spec, {"torch": "2"})
        store.add_real_grid(spec, _grid(0))
        for epoch in range(int(found.state["epoch"]) + 1 if found else 1, EPOCHS + 1):
            _one_epoch(store, spec, epoch, sign)
        if finish:
            store.add_scores(spec, [_score(EPOCHS, sign).model_copy(update={"checkpoint": "best"})])
            store.finish(spec, RunRecord(run_id=spec.run_id, status="done", reason=str(sign), epochs=EPOCHS))
    finally:
        store.release(spec)
    return True


def _one_epoch(store: Store, spec: RunSpec, epoch: int, sign: int) -> None:
    record = EpochRecord(
        epoch=epoch, step=epoch * 10, d_loss=sign * 0.7 / epoch, g_loss=1 / 3, d_real_accuracy=0.5,
        d_fake_accuracy=0.5, epoch_seconds=1.5, images_per_second=1e5,
    )  # fmt: skip
    store.add_epoch(spec, record)
    store.add_grid(spec, epoch, _grid(sign * epoch))
    store.add_scores(spec, [_score(epoch, sign)])
    weights = {"g.w": np.full((3, 4), sign * epoch, np.float32)}
    store.keep_best(spec, Checkpoint(weights, {"epoch": epoch, "step": epoch * 10}))
    arrays = {**weights, "rng": np.full(16, epoch, np.uint8)}
    store.checkpoint(spec, Checkpoint(arrays, {"epoch": epoch, "step": epoch * 10, "loss": float("nan")}))


def _grid(value: int) -> np.ndarray:
    return np.full((60, 60), value % 256, np.uint8)


def _score(epoch: int, sign: int) -> Score:
    return Score(
        metric="fid", title="FID", better="lower", value=50.0 + sign / epoch, protocol=PROTOCOL, epoch=epoch,
        step=epoch * 10, floor=0.5,
    )  # fmt: skip


def contents(folder: Path) -> dict[str, str]:
    """The sum of every file that a reader may look at; of those that say when, and how often, only the names."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".") and ".previous." not in path.name
    }


OF_ATTEMPTS = {"environment.json", "record.json", "SHA256SUMS"}
"""What tells of attempts differs after a kill, and shall."""


def learned(folder: Path) -> dict[str, str]:
    return {name: value for name, value in contents(folder).items() if name not in OF_ATTEMPTS}
