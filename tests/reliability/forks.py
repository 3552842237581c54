"""Whole commands that begin at once: forks of one process that has everything loaded, not new interpreters.

That makes a hundred of them affordable. Workers that a command starts are forks of the same process. That real
ones behave like these is tried in test_signals and in tests/execution.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import psutil

with contextlib.suppress(ImportError):  # what the process that is forked has loaded, as far as it finds it
    import gan_bench.benchmark
    import gan_bench.cli.tables
    import gan_bench.data.digits
    import gan_bench.execution.local
    import gan_bench.metrics.extractors.inception
    import gan_bench.pipeline
    import gan_bench.report.report  # noqa: F401

HERE = Path(__file__).parent
TINY = ("--dataset", "synthetic", "--preset", "smoke", "--batch-size", "32", "--eval-samples", "160", "--offline")
"""28 x 28 shapes, 16 steps an epoch."""
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


@dataclass(frozen=True)
class Ask:
    """A command, and what is special about this one."""

    arguments: tuple[str, ...]
    cache: Path
    log: Path
    moment: str = ""
    """When it signals itself: see _moments."""
    sent: int = 0
    to_all: bool = False
    """Workers get the signal, too, as from a scheduler."""
    of_run: str = ""
    """Only news of runs whose id has this in it make a moment."""
    limits: dict[str, int] = field(default_factory=dict)
    stdout: Path | None = None
    """A named pipe for the output; the log otherwise."""
    report: bool = False
    """Whether the report is written at the end: it takes seconds."""


class Command:
    """A running command; `workers` are the processes that it started."""

    def __init__(self, ask: Ask) -> None:
        self.ask = ask
        self.process = multiprocessing.get_context("forkserver").Process(target=_run, args=(ask, _address()))
        self.process.start()

    def signal(self, number: int) -> None:
        os.kill(self.process.pid or 0, number)

    def wait(self, seconds: float = 60.0) -> int:
        """Return the exit code; a command that takes longer is killed, and fails the test."""
        self.process.join(seconds)
        late = self.process.exitcode is None
        if late:
            self.process.kill()
            self.process.join()
        assert not late, f"{' '.join(self.ask.arguments)} did not end\n{self.said}"
        return int(self.process.exitcode or 0)

    @property
    def said(self) -> str:
        return self.ask.log.read_text(errors="replace") if self.ask.log.exists() else ""

    @property
    def workers(self) -> list[int]:
        pids = self.ask.log.with_suffix(".pids")
        return [int(line) for line in pids.read_text().split()] if pids.exists() else []

    @property
    def signalled_at(self) -> float:
        """By time.monotonic(), which all processes share."""
        return float(self.ask.log.with_suffix(".signalled").read_text())


@contextlib.contextmanager
def running(ask: Ask) -> Iterator[Command]:
    """A command that doesn't outlive its test, whatever becomes of that."""
    command = Command(ask)
    try:
        yield command
    finally:
        if command.process.is_alive():
            command.process.kill()
        for pid in command.workers:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)


@contextlib.contextmanager
def workers() -> Iterator[None]:
    """Let workers that this very process starts be forks, too."""
    _address()
    get_context = multiprocessing.get_context
    multiprocessing.get_context = lambda method=None: get_context("forkserver")  # type: ignore[assignment]
    try:
        yield
    finally:
        multiprocessing.get_context = get_context


def lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _address() -> str:
    """Start the process that is forked, if it isn't running; it finds this file by the path it is given."""
    before = dict(os.environ)
    try:
        os.environ.update(ONE_THREAD, PYTHONPATH=os.pathsep.join([str(HERE), *filter(None, sys.path)]))
        multiprocessing.get_context("forkserver").set_forkserver_preload([Path(__file__).stem])
        forkserver.ensure_running()
    finally:
        os.environ.clear()
        os.environ.update(before)
    return str(_server().__dict__["_forkserver_address"])


def _server() -> Any:
    return vars(forkserver)["_forkserver"]


def _run(ask: Ask, address: str) -> None:
    """Be the command."""
    os.setsid()
    out = os.open(ask.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(os.open(ask.stdout, os.O_WRONLY) if ask.stdout else out, 1)
    os.dup2(out, 2)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", closefd=False) for number in (1, 2))
    os.environ.update(XDG_CACHE_HOME=str(ask.cache))
    _workers_by_fork(ask.log.with_suffix(".pids"), address)
    os.fsync = lambda descriptor: None  # it takes long, and only a power cut would tell
    from gan_bench import benchmark
    from gan_bench.cli import main

    if ask.moment:
        _moments(ask)
    elif not ask.report:
        benchmark.write_report = lambda *given: None  # type: ignore[assignment,return-value]
    for name, value in ask.limits.items():
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (value, value))
    main.main(args=list(ask.arguments), prog_name="gan-bench")


def _workers_by_fork(pids: Path, address: str) -> None:
    """Let `spawn` mean a fork of the server, and note whom this process starts."""
    server = _server()
    server.__dict__.update(_forkserver_address=address, ensure_running=lambda: None)
    get_context, start = multiprocessing.get_context, BaseProcess.start

    def forked(method: str | None = None) -> Any:
        return get_context("forkserver" if method == "spawn" else method)

    def noted(self: BaseProcess) -> None:
        start(self)
        with pids.open("a") as file:
            file.write(f"{self.pid}\n")

    multiprocessing.get_context = forked  # type: ignore[assignment]
    BaseProcess.start = noted  # type: ignore[method-assign]


def _moments(ask: Ask) -> None:
    """Have this process signal itself once: while planning, at some news of a run, in a write, at the report."""
    from gan_bench import benchmark, planning

    plan, execute, fsync = planning.plan, benchmark.execute, os.fsync
    done: list[str] = []

    def happens(moment: str) -> None:
        if moment != ask.moment or done:
            return
        done.append(moment)
        ask.log.with_suffix(".signalled").write_text(repr(time.monotonic()))
        pids = ask.log.with_suffix(".pids")
        for pid in pids.read_text().split() if ask.to_all and pids.exists() else []:
            os.kill(int(pid), ask.sent)
        os.kill(os.getpid(), ask.sent)

    def planned(*given: Any) -> Any:
        happens("planning")
        return plan(*given)

    def executed(what: Any, observer: Callable[[Any], None]) -> Any:
        def heard(news: Any) -> None:
            if not news.run_ids or any(ask.of_run in run_id for run_id in news.run_ids):
                happens(f"{news.kind} {news.text}".strip() if news.kind == "evaluation" else news.kind)
                if news.kind == "epoch":
                    os.fsync = synced  # the next write is one of this run's
            observer(news)

        return execute(what, heard)

    def synced(descriptor: int) -> None:
        happens("write")
        fsync(descriptor)

    planning.plan, benchmark.execute = planned, executed  # type: ignore[assignment]
    benchmark.write_report = lambda *given: happens("report")  # type: ignore[assignment,return-value]
