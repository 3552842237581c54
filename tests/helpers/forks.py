"""Commands that start at once: forks of one process that has everything imported, instead of new interpreters.

That makes a hundred of them affordable. Workers that a command starts are forks of the same process. test_signals
and tests/runner/test_executors check that real processes behave alike.
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

with contextlib.suppress(ImportError):  # what the process that is forked has imported
    import gan_bench.api
    import gan_bench.cli.ui.tables
    import gan_bench.data.digits
    import gan_bench.metrics.extractors.inception
    import gan_bench.report.write_report
    import gan_bench.runner.executors.local
    import gan_bench.runner.run_group  # noqa: F401

TINY = ("--dataset", "synthetic", "--preset", "smoke", "--batch-size", "32", "--eval-samples", "160", "--offline")
"""28 x 28 images, 16 steps an epoch."""
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


@dataclass(frozen=True)
class Launch:
    """A command line, and what happens to its process."""

    arguments: tuple[str, ...]
    cache: Path
    log: Path
    moment: str = ""
    """When it sends itself `sent`: see _signal_at_moment."""
    sent: int = 0
    to_all: bool = False
    """Send the signal to its workers too, as a scheduler does."""
    of_run: str = ""
    """Only events of runs whose id contains this are moments."""
    limits: dict[str, int] = field(default_factory=dict)
    """Of the process and its workers, by the names of `resource.RLIMIT_...`."""
    stdout: Path | None = None
    """A named pipe for the output; the log otherwise."""
    report: bool = False
    """Whether the report is written at the end, which takes seconds."""


class Command:
    """A running command; `workers` are the processes that it started."""

    def __init__(self, launch: Launch) -> None:
        self.launch = launch
        self.process = multiprocessing.get_context("forkserver").Process(target=_main, args=(launch, _address()))
        self.process.start()

    def send(self, number: int) -> None:
        os.kill(self.process.pid or 0, number)

    def wait(self, seconds: float = 60.0) -> int:
        """Return the exit code; a command that takes longer is killed, and fails the test."""
        self.process.join(seconds)
        late = self.process.exitcode is None
        if late:
            self.process.kill()
            self.process.join()
        assert not late, f"{' '.join(self.launch.arguments)} did not end\n{self.output}"
        return int(self.process.exitcode or 0)

    @property
    def output(self) -> str:
        return self.launch.log.read_text(errors="replace") if self.launch.log.exists() else ""

    @property
    def workers(self) -> list[int]:
        pids = self.launch.log.with_suffix(".pids")
        return [int(line) for line in pids.read_text().split()] if pids.exists() else []

    @property
    def signalled_at(self) -> float:
        """By time.monotonic(), which all processes share."""
        return float(self.launch.log.with_suffix(".signalled").read_text())


@contextlib.contextmanager
def running(launch: Launch) -> Iterator[Command]:
    """Start a command, and kill it and its workers at the end of the block if they are still alive."""
    command = Command(launch)
    try:
        yield command
    finally:
        if command.process.is_alive():
            command.process.kill()
        for pid in command.workers:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)


@contextlib.contextmanager
def forked_workers() -> Iterator[None]:
    """Let worker processes that this process starts be forks too."""
    _address()
    get_context = multiprocessing.get_context
    multiprocessing.get_context = lambda method=None: get_context("forkserver")  # type: ignore[assignment]
    try:
        yield
    finally:
        multiprocessing.get_context = get_context


def is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _address() -> str:
    """Start the process that is forked, unless it is running; PYTHONPATH lets it import this file."""
    before = dict(os.environ)
    try:
        os.environ.update(ONE_THREAD, PYTHONPATH=os.pathsep.join(filter(None, sys.path)))
        multiprocessing.get_context("forkserver").set_forkserver_preload(["helpers.forks"])
        forkserver.ensure_running()
    finally:
        os.environ.clear()
        os.environ.update(before)
    return str(_server().__dict__["_forkserver_address"])


def _server() -> Any:
    return vars(forkserver)["_forkserver"]


def _main(launch: Launch, address: str) -> None:
    """Execute the command in a fork."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in the background
    out = os.open(launch.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(os.open(launch.stdout, os.O_WRONLY) if launch.stdout else out, 1)
    os.dup2(out, 2)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", closefd=False) for number in (1, 2))
    os.environ.update(XDG_CACHE_HOME=str(launch.cache))
    _workers_by_fork(launch.log.with_suffix(".pids"), address, launch.limits)
    os.fsync = lambda descriptor: None  # slow, and only a power cut would show the difference
    from gan_bench import api
    from gan_bench.cli import main

    if launch.moment:
        _signal_at_moment(launch)
    elif not launch.report:
        api.write_report = lambda *given: None  # type: ignore[assignment,return-value]
    for name, value in launch.limits.items():
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (value, value))
    main.main(args=list(launch.arguments), prog_name="gan-bench")


def _workers_by_fork(pids: Path, address: str, limits: dict[str, int]) -> None:
    """Let `spawn` mean a fork of the server with these limits, and write down the pids of new processes."""
    server = _server()
    server.__dict__.update(_forkserver_address=address, ensure_running=lambda: None)
    get_context, start = multiprocessing.get_context, BaseProcess.start

    def forked(method: str | None = None) -> Any:
        return get_context("forkserver" if method == "spawn" else method)

    def noted(self: BaseProcess) -> None:
        start(self)
        for name, value in limits.items():  # which a fork of the server does not inherit
            resource.prlimit(self.pid or 0, getattr(resource, f"RLIMIT_{name}"), (value, value))
        with pids.open("a") as file:
            file.write(f"{self.pid}\n")

    multiprocessing.get_context = forked  # type: ignore[assignment]
    BaseProcess.start = noted  # type: ignore[method-assign]


def _moment_of(event: Any) -> tuple[str, tuple[str, ...]]:
    """Return the moment that an event stands for, empty for others, and the runs that it is about."""
    from gan_bench.core.events import EpochFinished, EvaluationProgress, GroupStarted, RunFinished, StepProgress

    match event:
        case GroupStarted(run_ids):
            return "group", run_ids
        case StepProgress(run_ids):
            return "step", run_ids
        case EpochFinished(run_id):
            return "epoch", (run_id,)
        case EvaluationProgress(_, _, run_id):
            return ("evaluation", (run_id,)) if run_id else ("reference", ())
        case RunFinished(record):
            return "finished", (record.run_id,)
    return "", ()


def _signal_at_moment(launch: Launch) -> None:
    """Have this process signal itself once: while planning, at an event, in a write, or before the report."""
    from gan_bench import api
    from gan_bench.runner import plan

    make_plan, execute, fsync = plan.plan, api.execute, os.fsync
    done: list[str] = []

    def happens(moment: str) -> None:
        if moment != launch.moment or done:
            return
        done.append(moment)
        launch.log.with_suffix(".signalled").write_text(repr(time.monotonic()))
        pids = launch.log.with_suffix(".pids")
        for pid in pids.read_text().split() if launch.to_all and pids.exists() else []:
            os.kill(int(pid), launch.sent)
        os.kill(os.getpid(), launch.sent)

    def planned(*given: Any) -> Any:
        happens("planning")
        return make_plan(*given)

    def executed(what: Any, on_event: Callable[[Any], None]) -> Any:
        def listen(event: Any) -> None:
            moment, run_ids = _moment_of(event)
            if not run_ids or any(launch.of_run in run_id for run_id in run_ids):
                happens(moment)
                if moment == "epoch":
                    os.fsync = synced  # the next write is one of this run's
            on_event(event)

        return execute(what, listen)

    def synced(descriptor: int) -> None:
        happens("write")
        fsync(descriptor)

    plan.plan, api.execute = planned, executed  # type: ignore[assignment]
    api.write_report = lambda *given: happens("report")  # type: ignore[assignment,return-value]
