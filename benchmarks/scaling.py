"""Scaling: ten times as many training images, lanes, evaluated samples, or runs in a folder; and the start time.

Growth is the ratio of times within a round: 10 is linear, 1 is no growth. Reports and starts are whole commands,
including Python's start.

    python benchmarks/scaling.py --repeats 3 --data-root FOLDER --out scaling.json
"""

from __future__ import annotations

import contextlib
import functools
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import timing
import torch
from PIL import Image

import gan_bench as gb
from gan_bench.core.evaluation_spec import EvaluationSpec
from gan_bench.core.training_spec import TrainingSpec
from gan_bench.data.base import ImageData, datasets
from gan_bench.data.batch import Batch
from gan_bench.devices import select
from gan_bench.metrics.evaluator import Evaluator
from gan_bench.runner.catalogue import Registries
from gan_bench.store.store import Store
from gan_bench.training import warmup
from gan_bench.training.trainer import Trainer

Case: TypeAlias = tuple[str, str, int, timing.Work, timing.Work]
"""Name, unit, first count, and the work for that count and for ten times as many."""
RATES = tuple(1e-4 * factor for factor in range(1, 11))


def training(data: ImageData, device: torch.device, images: int, lanes: int) -> timing.Work:
    """Return work that trains an epoch of a narrow net on the first `images` images."""
    matrix = gb.Matrix(
        models=("vanilla",),
        dataset="mnist",
        seeds=tuple(range(lanes)),
        epochs=10**6,
        settings={"width": 0.25},
    )
    trainer = Trainer(matrix.expand(Registries()), Batch(data.train[:images]).to(device), device)
    warmup.warm_up(trainer, timing.print_notice, fuse=False)
    return trainer.train_epoch


def scoring(
    data: ImageData, device: torch.device, cache: Path, metrics: tuple[str, ...], samples: int
) -> timing.Work:
    plan = EvaluationSpec(metrics=metrics, extractors=("mnist-cnn",), samples=samples)
    evaluator = Evaluator(data, plan, device=device, cache_dir=cache, offline=True, on_event=timing.print_notice)
    evaluator.prepare()
    images = data.train[:samples].to(device)
    return lambda: evaluator.score(images, epoch=1, step=1)


def command(*arguments: str | Path) -> timing.Work:
    """Return work that runs Python with these arguments."""
    words = [sys.executable, *map(str, arguments)]
    return functools.partial(subprocess.run, words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def results(folder: Path, runs: int) -> Path:
    """Return a results folder with `runs` runs: one that is trained, and copies of it under other specs."""
    matrix = gb.Matrix(models=("vanilla",), dataset="synthetic", extractors=("mnist-cnn",), metrics=("fid", "is"))
    gb.run(matrix, gb.Options(out=folder, preset="smoke", device="cpu", cache_dir=folder / "cache", offline=True))
    store = Store.open(folder, create=False)
    (first,) = store.runs()
    with Image.open(first.folder / "samples" / "real.png") as picture, without_fsync():
        for spec in specs(first.spec, runs - 1):
            store.begin(spec, first.environment)
            for epoch in first.epochs:
                store.add_epoch(spec, epoch)
                store.add_grid(spec, epoch.epoch, np.asarray(picture))
            store.add_scores(spec, first.scores)
            store.finish(spec, first.record.model_copy(update={"run_id": spec.run_id}))
    found = len(store.runs())
    assert found == runs, f"read {found} of {runs} runs"
    return folder


@contextlib.contextmanager
def without_fsync() -> Iterator[None]:
    """Skip fsync, which would take minutes for thousands of files."""
    before, os.fsync = os.fsync, lambda descriptor: None
    try:
        yield
    finally:
        os.fsync = before


def specs(first: TrainingSpec, count: int) -> Iterator[TrainingSpec]:
    for number in range(1, count + 1):
        rate = RATES[number % len(RATES)]
        yield first.model_copy(update={"seed": number, "lr_g": rate, "lr_d": rate})


def cases(data: ImageData, device: torch.device, folder: Path) -> Iterator[Case]:
    train = functools.partial(training, data, device)
    yield "an epoch of vanilla", "training images", 6_000, train(6_000, 1), train(60_000, 1)
    yield "20 steps of vanilla", "lanes", 1, train(2_560, 1), train(2_560, 10)
    for what, metrics in (("FID, IS, KID, modes", ("fid", "is", "kid", "modes")), ("precision, recall", ("prc",))):
        score = functools.partial(scoring, data, device, folder / "scores", metrics)
        yield what, "samples", 1_000, score(1_000), score(10_000)
    few, many = results(folder / "few", 100), results(folder / "many", 1_000)
    for name in ("report", "status"):
        run = functools.partial(command, "-m", "gan_bench", name)
        yield f"gan-bench {name}", "runs in the folder", 100, run(few), run(many)


def measure(case: Case, device: torch.device, repeats: int) -> dict[str, Any]:
    what, counted, few, small, large = case
    seconds = timing.interleaved({str(few): small, str(10 * few): large}, device, repeats)
    growth = timing.ratios(seconds[str(10 * few)], seconds[str(few)])
    return {"what": what, "counted": counted, "seconds": seconds, "growth": growth}


def show(rows: list[dict[str, Any]]) -> None:
    cells = []
    for row in rows:
        (few, fast), (many, slow) = row["seconds"].items()
        growth = timing.spread(row["growth"])
        cells.append(
            [row["what"], f"{few} and {many} {row['counted']}", *map(timing.spread, (fast, slow)), growth]
        )
    timing.show("seconds: median (min to max)", ["case", "count", "few", "ten times as many", "growth"], cells)


def start(device: torch.device, repeats: int) -> dict[str, Any]:
    """Return a row: times of `gan-bench --help` and `gan-bench run --help`, and of Python's own start."""
    works = {"python -c pass": command("-c", "pass")}
    for words in (["--help"], ["run", "--help"]):
        works[" ".join(["gan-bench", *words])] = command("-m", "gan_bench", *words)
    seconds = timing.interleaved(works, device, 5 * repeats)
    timing.show("start, in seconds", [*works], [[timing.spread(each) for each in seconds.values()]])
    return {"what": "start", "seconds": seconds}


def main() -> None:
    given = timing.options(__doc__, repeats=3).parse_args()
    device = select.find_device(given.device)
    data = datasets.get("mnist").load(given.data_root, offline=True, on_event=timing.print_notice)
    start_row = start(device, given.repeats)
    with tempfile.TemporaryDirectory() as folder:
        rows = [measure(case, device, given.repeats) for case in cases(data, device, Path(folder))]
    show(rows)
    timing.write_rows(given.out, device, [start_row, *rows])


if __name__ == "__main__":
    main()
