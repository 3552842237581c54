"""What ten times as much costs: training images, lanes, samples scored, runs in a folder; and what a start costs.

Growth is the ratio of times within a round: 10 is linear, 1 is no growth. Reports and starts are whole commands,
Python's own start included.

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
from gan_bench import environment
from gan_bench.data.dataset import ImageData, datasets
from gan_bench.metrics.evaluator import Evaluator
from gan_bench.planning import Registries
from gan_bench.spec import Evaluation, RunSpec
from gan_bench.store.store import Store
from gan_bench.training import tuning
from gan_bench.training.trainer import Trainer

Case: TypeAlias = tuple[str, str, int, timing.Work, timing.Work]
"""What is timed, what is counted, how many at first, and the work at that and at ten times that."""
RATES = tuple(1e-4 * factor for factor in range(1, 11))


def training(data: ImageData, device: torch.device, images: int, lanes: int) -> timing.Work:
    """Return work that trains an epoch of so many images on a narrow net."""
    matrix = gb.Matrix(
        models=("vanilla",),
        dataset="mnist",
        seeds=tuple(range(lanes)),
        epochs=10**6,
        settings={"width": 0.25},
    )
    trainer = Trainer(matrix.expand(Registries()), data.train[:images].to(device), device)
    tuning.warm_up(trainer, print, fuse=False)
    return trainer.train_epoch


def scoring(
    data: ImageData, device: torch.device, cache: Path, metrics: tuple[str, ...], samples: int
) -> timing.Work:
    plan = Evaluation(metrics=metrics, extractors=("mnist-cnn",), samples=samples)
    evaluator = Evaluator(data, plan, device=device, cache_dir=cache, offline=True, notify=print)
    evaluator.prepare()
    images = data.train[:samples].to(device)
    return lambda: evaluator.score(images, epoch=1, step=1)


def command(*arguments: str | Path) -> timing.Work:
    """Return work that runs Python with these arguments to its end."""
    words = [sys.executable, *map(str, arguments)]
    return functools.partial(subprocess.run, words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def results(folder: Path, runs: int) -> Path:
    """Return a results folder of so many runs: one that was trained, and its like under other specs."""
    matrix = gb.Matrix(models=("vanilla",), dataset="synthetic", extractors=("mnist-cnn",), metrics=("fid", "is"))
    gb.run(matrix, gb.Options(out=folder, preset="smoke", device="cpu", cache_dir=folder / "cache", offline=True))
    store = Store.open(folder, create=False)
    (first,) = store.runs()
    with Image.open(first.folder / "samples" / "real.png") as picture, no_waiting_for_the_disk():
        for spec in specs(first.spec, runs - 1):
            store.begin(spec, first.environment)
            for epoch in first.epochs:
                store.add_epoch(spec, epoch)
                store.add_grid(spec, epoch.epoch, np.asarray(picture))
            store.add_scores(spec, first.scores)
            store.finish(spec, first.record.model_copy(update={"run_id": spec.run_id}))
    found = len(store.runs())
    assert found == runs, f"{found} runs were read where {runs} were made"
    return folder


@contextlib.contextmanager
def no_waiting_for_the_disk() -> Iterator[None]:
    """Let files be made without fsync: nothing here must outlive a power cut, and thousands would take minutes."""
    before, os.fsync = os.fsync, lambda descriptor: None
    try:
        yield
    finally:
        os.fsync = before


def specs(first: RunSpec, count: int) -> Iterator[RunSpec]:
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
    timing.show("seconds: median (min to max)", ["what", "of", "few", "ten times as many", "growth"], cells)


def start(device: torch.device, repeats: int) -> dict[str, Any]:
    """Return a row: what `gan-bench --help` takes beyond the start of Python itself."""
    works = {"python -c pass": command("-c", "pass"), "gan-bench --help": command("-m", "gan_bench", "--help")}
    seconds = timing.interleaved(works, device, 5 * repeats)
    empty, told = seconds.values()
    beyond = [b - a for a, b in zip(empty, told, strict=True)]
    timing.show(
        "a start, in seconds", [*works, "beyond"], [[timing.spread(each) for each in (empty, told, beyond)]]
    )
    return {"what": "start", "seconds": seconds, "beyond": beyond}


def main() -> None:
    given = timing.options(__doc__, repeats=3).parse_args()
    device = environment.find_device(given.device)
    data = datasets.get("mnist").load(given.data_root, offline=True, notify=print)
    begun = start(device, given.repeats)
    with tempfile.TemporaryDirectory() as folder:
        rows = [measure(case, device, given.repeats) for case in cases(data, device, Path(folder))]
    show(rows)
    timing.keep(given.out, device, [begun, *rows])


if __name__ == "__main__":
    main()
