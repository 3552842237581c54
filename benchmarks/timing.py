"""What the scripts of this folder share: contestants timed in turn, told as a table and kept as JSON.

Contestants are callables that do the work once. They are warmed up, then each round times all of them one right
after the other, so that a drift of the machine hits all alike; ratios are taken within a round.
"""

from __future__ import annotations

import argparse
import atexit
import json
import multiprocessing
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TypeAlias

import torch
from rich.console import Console
from rich.table import Table

from gan_bench import environment
from gan_bench.data.dataset import default_root
from gan_bench.training.clock import synchronise

Work: TypeAlias = Callable[[], object]
Row: TypeAlias = Mapping[str, object]


def options(documentation: str | None, *, repeats: int = 5) -> argparse.ArgumentParser:
    """Return a parser with the options of every script: where to measure, how often, where the JSON goes."""
    parser = argparse.ArgumentParser(
        description=documentation, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=repeats, help="rounds that are measured")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--data-root", type=Path, default=default_root())
    parser.add_argument("--out", type=Path, help="a JSON file to write")
    return parser


def timed(work: Work, device: torch.device) -> float:
    """Return the seconds that `work` takes, until the device has done all of it."""
    synchronise(device)
    start = time.perf_counter()
    work()
    synchronise(device)
    return time.perf_counter() - start


def interleaved(
    contestants: Mapping[str, Work], device: torch.device, repeats: int, warm_up: int = 1
) -> dict[str, list[float]]:
    """Return the seconds of each contestant, a number a round; every round begins with another of them."""
    names = list(contestants)
    for _ in range(warm_up):
        for work in contestants.values():
            work()
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for number in range(repeats):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            seconds[name].append(timed(contestants[name], device))
    return seconds


class Elsewhere:
    """A contestant in a process of its own, so that neither allocator, caches nor settings are shared.

    `build`, a function that can be pickled, makes there what is called with a number at every `__call__` here.
    """

    def __init__(self, build: Callable[[], Callable[[int], object]]) -> None:
        processes = multiprocessing.get_context("spawn")
        self._pipe, theirs = processes.Pipe()
        self._process = processes.Process(target=_serve, args=(build, theirs))
        self._process.start()
        atexit.register(self._process.terminate)  # a script that fails would wait for its contestants, for ever
        theirs.close()

    def __call__(self, number: int) -> None:
        """Have the work done, and wait for it; EOFError if the process has died."""
        self._pipe.send(number)
        self._pipe.recv()

    def close(self) -> None:
        """End the process."""
        self._pipe.send(None)
        self._process.join()


def _serve(build: Callable[[], Callable[[int], object]], pipe: Connection) -> None:
    work = build()
    while (number := pipe.recv()) is not None:
        work(number)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        pipe.send(number)


def ratios(one: Sequence[float], other: Sequence[float]) -> list[float]:
    """Return one / other, round by round."""
    return [a / b for a, b in zip(one, other, strict=True)]


def spread(values: Sequence[float], scale: float = 1.0) -> str:
    """Return median and range in words."""
    values = [value * scale for value in values]
    return f"{statistics.median(values):.3g} ({min(values):.3g} to {max(values):.3g})"


def show(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table; wide, so that a file or a log keeps its columns whole."""
    table = Table(*columns, title=title)
    for row in rows:
        table.add_row(*row)
    Console(width=150).print(table)


def keep(out: Path | None, device: torch.device, rows: Sequence[Row]) -> None:
    """Write the rows with the environment that they were measured in as JSON, where a file was asked for."""
    if out is not None:
        about = environment.describe(device)
        out.write_text(json.dumps({"environment": about, "rows": rows}, indent=1) + "\n", encoding="utf-8")
