"""Worker processes: each executes groups and has its own pipe, so that a dead worker identifies its group.

There is no shared queue: a worker killed while it holds a shared lock would block all others.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

import psutil

from gan_bench.core import signals
from gan_bench.core.events import OnEvent
from gan_bench.core.failures import exit_reason, log_tail
from gan_bench.core.main_module import without_main
from gan_bench.core.matrix import Group
from gan_bench.core.options import Options
from gan_bench.core.standard_streams import open_standard_streams
from gan_bench.runner.executors.base import OnWorkerDeath, Work
from gan_bench.runner.executors.worker import Done, Ready, serve

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
SPIN_COUNT = "4000"
"""Turns of an idle OpenMP thread before it sleeps, for libgomp: with its own default, two trainings on the same
cores slow each other down fourfold. Measured by benchmarks/waiting_threads.py."""
GRACE_SECONDS = 20.0
"""Time for a worker to write a checkpoint; less than this process has after a signal."""
POLL_SECONDS = 0.2
LOG_BYTES = 20_000
"""Bytes read from the end of a log."""


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Connection
    log: Path
    group: Group | None = None
    ready: bool = False
    log_start: int = 0
    started_at: float = 0.0

    def log_tail(self) -> str:
        """Return the end of the output of its current group."""
        try:
            start = max(self.log_start, self.log.stat().st_size - LOG_BYTES)  # a hanging group may print for hours
            with self.log.open("rb") as file:
                file.seek(start)
                return log_tail(file.read(LOG_BYTES).decode(errors="replace"))
        except OSError:
            return ""


def run_in_processes(
    groups: Sequence[Group],
    work: Work,
    options: Options,
    threads: int,
    on_event: OnEvent,
    on_worker_death: OnWorkerDeath,
    stop: Callable[[], bool],
) -> None:
    """Execute every group in at most `options.jobs` processes; see Executor.run_groups."""
    open_standard_streams()  # a pipe with the number of a standard stream would be replaced in the worker
    run_timeout = options.run_timeout
    waiting = deque(groups)
    workers: list[_Worker] = []
    try:
        while True:
            if stop():
                waiting.clear()
            while waiting and len(workers) < options.jobs:
                workers.append(_start(work, threads))
                _assign(workers[-1], waiting)
            if not workers:
                return
            signals.check()
            for worker in _overdue(workers, run_timeout):
                workers.remove(worker)
                _kill_overdue(worker, run_timeout, on_worker_death)
            for worker in _with_messages(workers):
                if not _receive(worker, on_event, on_worker_death):
                    workers.remove(worker)
                elif worker.group is None:
                    if stop():
                        waiting.clear()
                    if not _assign(worker, waiting):
                        workers.remove(worker)
                        _dismiss([worker])
    finally:
        _terminate(workers)


def _start(work: Work, threads: int) -> _Worker:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    descriptor, log = tempfile.mkstemp(prefix="gan_bench-", suffix=".log")
    os.close(descriptor)
    process = context.Process(target=serve, args=(there, Path(log)), name="gan_bench worker")
    try:
        with _environment(_thread_settings(threads)), without_main():
            process.start()
    finally:
        there.close()  # only the worker holds that end, so its death closes the pipe
    worker = _Worker(process, here, Path(log))
    try:
        here.send(work)
    except (BrokenPipeError, ConnectionResetError):
        pass  # it is dead already: the closed pipe is handled below
    except BaseException:  # work that can't be pickled, or an interrupt
        _terminate([worker])
        raise
    return worker


def _thread_settings(threads: int) -> dict[str, str]:
    """Return the environment variables of a worker's threads; the user's own way of waiting stays."""
    settings = dict.fromkeys(THREAD_VARIABLES, str(threads))
    if not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & os.environ.keys():
        settings["GOMP_SPINCOUNT"] = SPIN_COUNT
    return settings


def _assign(worker: _Worker, waiting: deque[Group]) -> bool:
    """Send the worker its next group; return whether there was one."""
    if not waiting:
        return False
    worker.group = waiting.popleft()
    worker.started_at, worker.log_start = time.monotonic(), worker.log.stat().st_size
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        worker.pipe.send(worker.group)
    return True


def _with_messages(workers: list[_Worker]) -> list[_Worker]:
    readable = wait([worker.pipe for worker in workers], POLL_SECONDS)
    return [worker for worker in workers if worker.pipe in readable]


def _receive(worker: _Worker, on_event: OnEvent, on_worker_death: OnWorkerDeath) -> bool:
    """Handle one message of the worker; return whether it is alive."""
    try:
        message = worker.pipe.recv()
    except (EOFError, OSError):
        signals.check()  # a signal to the process group ends the worker, too: not a failure
        worker.process.join(GRACE_SECONDS)
        code = worker.process.exitcode
        log = worker.log_tail()
        _terminate([worker])
        if worker.group is not None:
            on_worker_death(worker.group, exit_reason(code, ready=worker.ready), log)
        return False
    match message:
        case Ready():
            worker.ready = True
        case Done(fault):
            group, worker.group = worker.group, None
            if fault and group is not None:
                log = worker.log_tail()
                _terminate([worker])  # it may hold leases that it can't release, or have no file handle left
                on_worker_death(group, fault, log)
                return False
        case event:
            on_event(event)
    return True


def _overdue(workers: Sequence[_Worker], run_timeout: float | None) -> list[_Worker]:
    now = time.monotonic()
    return [w for w in workers if run_timeout is not None and w.group and now - w.started_at > run_timeout]


def _kill_overdue(worker: _Worker, run_timeout: float | None, on_worker_death: OnWorkerDeath) -> None:
    """Kill a worker that exceeded the time limit, and every process it started."""
    log, group = worker.log_tail(), worker.group
    _kill(worker)
    _terminate([worker])
    if group is not None:
        on_worker_death(group, f"killed after {run_timeout:g} s (--run-timeout)", log)


def _dismiss(workers: Sequence[_Worker]) -> None:
    """Let idle workers exit by closing their pipes."""
    for worker in workers:
        worker.pipe.close()
        worker.process.join(GRACE_SECONDS)
    _terminate(workers)


def _terminate(workers: Sequence[_Worker]) -> None:
    """Terminate workers. All are signalled first: a second interrupt may arrive while they are awaited."""
    for worker in workers:
        worker.process.terminate()
    deadline = time.monotonic() + GRACE_SECONDS  # for all together, so that several stuck workers don't add up
    for worker in workers:
        worker.process.join(max(0.0, deadline - time.monotonic()))
        _kill(worker)
        worker.pipe.close()
        worker.log.unlink(missing_ok=True)


def _kill(worker: _Worker) -> None:
    """Kill a worker, its process group, which may outlive it, and its descendants."""
    pid = worker.process.pid
    if pid is None:
        return
    # listed while it is alive: some may have left its group, and its pid may be reused later
    descendants = _descendants(pid) if worker.process.is_alive() else []
    with contextlib.suppress(OSError, AttributeError):
        os.killpg(pid, signal.SIGKILL)
    if worker.process.is_alive():
        worker.process.kill()
    for process in descendants:
        with contextlib.suppress(psutil.Error):
            process.kill()
    worker.process.join()


def _descendants(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return []


@contextlib.contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Set environment variables for a process that is about to be started; torch reads them on import."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
