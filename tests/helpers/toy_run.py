"""A run for tests of the store: every write of a training, in its order, with nothing to compute."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from gan_bench.core.evaluation_spec import EvaluationProtocol
from gan_bench.core.records import Checkpoint, EpochRecord, RunRecord, Score
from gan_bench.core.training_spec import TrainingSpec
from gan_bench.store.store import Store

EPOCHS = 2
PROTOCOL = EvaluationProtocol(
    dataset="digits", dataset_sha256="0" * 64, reference_split="test", n_real=100, n_fake=100,
    extractor="mnist-cnn", extractor_sha256="1" * 64, resize="none", seed=0, kid_subset_size=50,
    torch_fidelity_version="0.4.0",
)  # fmt: skip


def toy_spec(seed: int = 0) -> TrainingSpec:
    return TrainingSpec(
        model="vanilla", loss="bce", dataset="digits", image_size=28, channels=1, seed=seed, lr_g=2e-4, lr_d=2e-4,
        batch_size=64, epochs=EPOCHS, settings={},
    )  # fmt: skip


def train(store: Store, spec: TrainingSpec, sign: int = 1, finish: bool = True) -> bool:
    """Claim, resume, train and finish a run, or leave it without an outcome; `sign` marks who trained it.

    Returns False if another process holds the run, or if it is trained.
    """
    if not store.claim(spec):
        return False
    try:
        if store.is_trained(spec):
            return False
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


def evaluate(store: Store, spec: TrainingSpec, sign: int = 1) -> bool:
    """Claim a trained run and add another sample set's score; return False if another process holds the run."""
    if not store.claim(spec):
        return False
    try:
        record = store.outcome(spec)
        assert record is not None
        score = _score(EPOCHS, sign).model_copy(update={"draw": 1})
        store.add_evaluation(spec, [score], record.model_copy(update={"verdict": "ok", "eval_seconds": 2.0}))
    finally:
        store.release(spec)
    return True


def _one_epoch(store: Store, spec: TrainingSpec, epoch: int, sign: int) -> None:
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
        step=epoch * 10, real_reference=0.5,
    )  # fmt: skip


def contents(folder: Path) -> dict[str, str]:
    """The SHA-256 of every file of a run, without hidden files and spare checkpoints."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".") and ".previous." not in path.name
    }


OF_ATTEMPTS = {"environment.json", "record.json", "SHA256SUMS"}
"""Files that record attempts, which differ after a kill."""


def training_results(folder: Path) -> dict[str, str]:
    """The SHA-256 of every file that is equal however often the run was interrupted."""
    return {name: value for name, value in contents(folder).items() if name not in OF_ATTEMPTS}
