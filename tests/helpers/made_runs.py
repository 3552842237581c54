"""Synthetic stored runs with plausible records, scores and sample grids; nothing is trained."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from gan_bench.core.evaluation_spec import EvaluationProtocol
from gan_bench.core.records import EpochRecord, RunRecord, Score, StoredRun
from gan_bench.core.training_spec import TrainingSpec

LEVEL = {"vanilla": 21.0, "dcgan28": 7.5, "dcgan28-tf": 8.2, "wide": 9.4, "tiny-gan": 48.0, "dcgan64": 7.0}
SECONDS = {"vanilla": 2.1, "dcgan28": 5.3, "dcgan28-tf": 7.9, "wide": 9.1, "tiny-gan": 0.9, "dcgan64": 31.0}
PARAMS = {"vanilla": 1_490_000, "dcgan28": 2_310_000, "wide": 9_100_000}
METRICS = (
    ("fid", "FID", "lower", 1.0, 0.4, 310.0),
    ("inception_score_mean", "IS", "higher", 0.0, 9.8, 1.7),
    ("inception_score_std", "IS, std over splits", "lower", 0.0, 0.05, 0.02),
    ("kid_mean", "KID (x 1000)", "lower", 0.6, 0.1, 280.0),
    ("precision", "Precision", "higher", 0.0, 0.98, 0.0),
    ("recall", "Recall", "higher", 0.0, 0.97, 0.0),
    ("modes_covered", "Modes covered (of 10)", "higher", 0.0, 10.0, 1.0),
)


def protocol(extractor: str = "mnist-cnn", dataset: str = "mnist", n_fake: int = 10_000) -> EvaluationProtocol:
    return EvaluationProtocol(
        dataset=dataset,
        dataset_sha256="ab" * 32,
        reference_split="test",
        n_real=10_000,
        n_fake=n_fake,
        extractor=extractor,
        extractor_sha256="cd" * 32,
        resize="none",
        kid_subset_size=1000,
        seed=0,
        torch_fidelity_version="0.4.0",
    )


def make_spec(model: str = "dcgan28", seed: int = 0, lr: float = 2e-4, **changes: object) -> TrainingSpec:
    values: dict[str, object] = {
        "model": model,
        "loss": "bce",
        "dataset": "mnist",
        "image_size": 28,
        "channels": 1,
        "seed": seed,
        "lr_g": lr,
        "lr_d": lr,
        "batch_size": 128,
        "epochs": 25,
        "settings": {"beta1": 0.5, "beta2": 0.999, "z_dim": 100, "noise": "normal", "width": 1.0},
    }
    return TrainingSpec(**{**values, **changes})  # type: ignore[arg-type]


def spec_rng(spec: TrainingSpec) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(spec.canonical().encode()))


def blobs(rng: np.random.Generator, size: int, noise: float) -> np.ndarray:
    """Return a grid of 8 x 8 rings, 2 pixels apart."""
    step, y, x = size + 2, *np.mgrid[0:size, 0:size]
    grid = np.zeros((8 * step + 2, 8 * step + 2), dtype=np.uint8)
    for index in range(64):
        cy, cx = rng.normal(size / 2, size / 14, 2)
        radius, width = rng.uniform(size / 8, size / 3), size / 14
        ring = np.exp(-((np.hypot(y - cy, (x - cx) * rng.uniform(1, 2)) - radius) ** 2) / width**2)
        tile = np.clip(255 * (ring + rng.normal(0, noise, ring.shape)), 0, 255)
        top, left = 2 + step * (index // 8), 2 + step * (index % 8)
        grid[top : top + size, left : left + size] = tile
    return grid


def make_epochs(spec: TrainingSpec, count: int = 25, diverge: bool = False) -> list[EpochRecord]:
    rng, base = spec_rng(spec), SECONDS.get(spec.model, 5.0)
    rows = []
    for epoch in range(1, count + 1):
        seconds = float(base * rng.normal(1, 0.02))
        rows.append(
            EpochRecord(
                epoch=epoch,
                step=469 * epoch,
                d_loss=float(0.4 + 0.8 * np.exp(-epoch / 4) + rng.normal(0, 0.02)) * (epoch if diverge else 1),
                g_loss=float(0.8 + 1.6 * (1 - np.exp(-epoch / 6)) + rng.normal(0, 0.08))
                * (epoch if diverge else 1),
                d_real_accuracy=float(np.clip(0.78 + 0.006 * epoch + rng.normal(0, 0.01), 0, 1)),
                d_fake_accuracy=float(np.clip(0.82 + 0.004 * epoch + rng.normal(0, 0.01), 0, 1)),
                epoch_seconds=seconds,
                images_per_second=60_000 / seconds,
            )
        )
    return rows


def make_scores(
    spec: TrainingSpec,
    extractors: Sequence[str] = ("mnist-cnn",),
    epochs: Sequence[int] = (25,),
    n_fake: int = 10_000,
    draws: int = 1,
) -> list[Score]:
    """Return every metric's scores; draws after the first differ by 2% (std)."""
    rng = spec_rng(spec)
    rate = 1 + 0.5 * abs(np.log2(spec.lr_g / 2e-4))
    final = LEVEL.get(spec.model, 12.0) * rate * rng.normal(1, 0.05)
    scores = []
    for epoch in epochs:
        for extractor in extractors:
            scale = 1.0 if extractor == "mnist-cnn" else 2.6
            fid = scale * final * (1 + 6 * np.exp(-epoch / 5))
            for draw in range(draws):
                fid_of_draw = fid * (np.random.default_rng([draw, epoch]).normal(1, 0.02) if draw else 1)
                for metric, title, better, weight, real, noise in METRICS:
                    near = 1 / (1 + fid_of_draw / 60)
                    value = weight * fid_of_draw if weight else noise + (real - noise) * near
                    scores.append(
                        Score(
                            metric=metric,
                            title=title,
                            better=better,  # type: ignore[arg-type]
                            value=float(value),
                            protocol=protocol(extractor, spec.dataset, n_fake),
                            draw=draw,
                            epoch=epoch,
                            step=469 * epoch,
                            real_reference=real,
                            noise_reference=noise,
                        )
                    )
    return scores


def build(folder: Path, spec: TrainingSpec, pictures: bool = True, **changes: object) -> StoredRun:
    """Return a stored run.

    `changes` are fields of its record; `scores`, `epochs_list` or `threads`; or the arguments of `make_scores`.
    """
    threads = changes.pop("threads", 2)
    status = changes.get("status", "done")
    epochs = changes.pop("epochs_list", make_epochs(spec, 25 if status == "done" else 7, status == "diverged"))
    evaluation: dict[str, object] = {"epochs": [5, 10, 15, 20, 25] if status == "done" else []}
    evaluation |= {key: changes.pop(key) for key in ("extractors", "n_fake", "draws") if key in changes}
    scores = changes.pop("scores") if "scores" in changes else make_scores(spec, **evaluation)  # type: ignore[arg-type]
    run_folder = folder / "runs" / spec.run_id
    if pictures:
        (run_folder / "samples").mkdir(parents=True, exist_ok=True)
        for epoch in (1, 5, 10, 15, 20, 25) if status == "done" else (1, 5):
            grid = blobs(spec_rng(spec), spec.image_size, 1.2 / epoch)
            Image.fromarray(grid).save(run_folder / "samples" / f"epoch_{epoch:04d}.png")
        Image.fromarray(blobs(np.random.default_rng(0), spec.image_size, 0)).save(
            run_folder / "samples" / "real.png"
        )
    seconds = sum(epoch.epoch_seconds for epoch in epochs)  # type: ignore[attr-defined]
    values: dict[str, object] = {
        "run_id": spec.run_id,
        "status": "done",
        "verdict": "ok" if status == "done" else "",
        "steps": 469 * len(epochs),  # type: ignore[arg-type]
        "epochs": len(epochs),  # type: ignore[arg-type]
        "train_seconds": seconds,
        "eval_seconds": 41.0,
        "images_per_second": 60_000 * len(epochs) / seconds if seconds else None,  # type: ignore[arg-type]
        "peak_memory_bytes": 1_400_000_000,
        "g_params": PARAMS.get(spec.model, 2_000_000),
        "d_params": PARAMS.get(spec.model, 2_000_000) // 3,
        "device": "cuda:0",
        "device_name": "NVIDIA H200",
        "started_at": "2026-03-01T10:00:00+00:00",
        "finished_at": "2026-03-01T10:05:00+00:00",
        "dataset_requested": "auto",
    }
    record = RunRecord(**{**values, **changes})  # type: ignore[arg-type]
    environment = {
        "torch_version": "2.11.0",
        "gan_bench_version": "0.1.0",
        "commit": "0123abc",
        "python_version": "3.12.4",
        **({"threads": threads} if threads else {}),
    }
    return StoredRun(spec, record, epochs, scores, environment, run_folder)  # type: ignore[arg-type]


def build_many(
    folder: Path,
    models: Sequence[str] = ("vanilla", "dcgan28"),
    seeds: Sequence[int] = (0, 1, 2),
    lrs: Sequence[float] = (1e-4, 2e-4),
    pictures: bool = True,
    evaluation: Mapping[str, object] | None = None,
    **changes: object,
) -> list[StoredRun]:
    """Return a run per model, rate and seed; `evaluation` goes to `make_scores`, `changes` to the spec."""
    return [
        build(folder, make_spec(model, seed, lr, **changes), pictures, **(evaluation or {}))
        for model in models
        for lr in lrs
        for seed in seeds
    ]


def realistic(folder: Path) -> list[StoredRun]:
    """Two models, three seeds, two rates, two extractors; one diverged, one failed."""
    runs = build_many(folder, evaluation={"extractors": ("mnist-cnn", "inception")})
    diverged, failed = make_spec("dcgan28", 3, 4e-4), make_spec("vanilla", 3, 2e-4)
    runs.append(build(folder, diverged, status="diverged", reason="d_loss became nan at step 3283"))
    runs.append(build(folder, failed, status="failed", reason="CUDA out of memory: <b>tried</b> 20 GiB | 3 free"))
    return runs
