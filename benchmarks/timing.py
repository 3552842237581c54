"""Shared by the benchmarks: interleaved timing of contestants, tables and JSON results.

A contestant is a callable that does its work once. After a warm-up, each round times all of them one after the
other, so that drift of the machine affects all equally; ratios are taken within a round.
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

from gan_bench.core.events import Event, Notice
from gan_bench.core.options import Options
from gan_bench.data.base import default_root
from gan_bench.runner import environment
from gan_bench.training.clock import synchronize

Work: TypeAlias = Callable[[], object]
Row: TypeAlias = Mapping[str, object]


def options(documentation: str | None, *, repeats: int = 5) -> argparse.ArgumentParser:
    """Return a parser with the options of every benchmark: rounds, device, data and output file."""
    parser = argparse.ArgumentParser(
        description=documentation, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=repeats, help="rounds to measure")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--data-root", type=Path, default=default_root())
    parser.add_argument("--out", type=Path, help="JSON file to write")
    return parser


def print_notice(event: Event) -> None:
    """Print the text of a notice; ignore other events."""
    if isinstance(event, Notice):
        print(event.text)


def timed(work: Work, device: torch.device) -> float:
    """Return the seconds that `work` takes, with the device synchronized."""
    synchronize(device)
    start = time.perf_counter()
    work()
    synchronize(device)
    return time.perf_counter() - start


def interleaved(
    contestants: Mapping[str, Work], device: torch.device, repeats: int, warm_up: int = 1
) -> dict[str, list[float]]:
    """Return the seconds of each contestant in each round; every round starts with another one."""
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


class WorkerProcess:
    """A contestant in a process of its own, so that no allocator, cache or setting is shared.

    `build`, which must be picklable, is called there and returns a function of a number; `__call__` calls that.
    """

    def __init__(self, build: Callable[[], Callable[[int], object]]) -> None:
        processes = multiprocessing.get_context("spawn")
        self._pipe, other = processes.Pipe()
        self._process = processes.Process(target=_serve, args=(build, other))
        self._process.start()
        atexit.register(self._process.terminate)  # a failing script would wait for it forever
        other.close()

    def __call__(self, number: int) -> None:
        """Do the work and wait for it; raise EOFError if the process died."""
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
    """Return one / other for each round."""
    return [a / b for a, b in zip(one, other, strict=True)]


def spread(values: Sequence[float], scale: float = 1.0) -> str:
    """Return median and range as text."""
    values = [value * scale for value in values]
    return f"{statistics.median(values):.3g} ({min(values):.3g} to {max(values):.3g})"


def show(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table, wide enough for the columns in a file or a log."""
    table = Table(*columns, title=title)
    for row in rows:
        table.add_row(*row)
    Console(width=150).print(table)


def write_rows(out: Path | None, device: torch.device, rows: Sequence[Row]) -> None:
    """Write the rows and the environment as JSON, if there is an output file."""
    if out is not None:
        about = environment.describe(device, Options())
        out.write_text(json.dumps({"environment": about, "rows": rows}, indent=1) + "\n", encoding="utf-8")
