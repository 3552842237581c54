"""Real processes for the tests of reliability: whole runs of the command line, and their descendants."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psutil
from helpers.forks import TINY


def environment(cache: Path) -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "XDG_CACHE_HOME": str(cache), "PYTHONWARNINGS": "default"}


def command(out: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "gan_bench", "run", "--out", str(out), *TINY, *options]


@contextlib.contextmanager
def started(cache: Path, arguments: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    """Start a process, and kill it at the end of the block if it is still alive."""
    process = subprocess.Popen(
        arguments,
        env=environment(cache),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_until(happened: Callable[[], object], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def descendants(process: subprocess.Popen[str]) -> list[psutil.Process]:
    try:
        return psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def alive(processes: Sequence[psutil.Process]) -> list[psutil.Process]:
    return [p for p in processes if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
