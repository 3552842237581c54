"""Groups in processes of their own: each has a pipe to this process, so that a dying one names its group.

No queue is shared: a process killed while it holds a shared queue's lock would stop all the others.
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

from gan_bench import interruption
from gan_bench.execution.executor import OnLost, Work
from gan_bench.execution.worker import Done, Ready, serve
from gan_bench.matrix import Group
from gan_bench.reason import reason_of_exit, tail
from gan_bench.record import Observer, Progress

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
PATIENCE_SECONDS = 20.0
"""What a worker gets to leave a checkpoint; less than what this process itself gets after a signal."""
POLL_SECONDS = 0.2
LOG_BYTES = 20_000
"""As much of a log's end as a record may need."""


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Connection
    log: Path
    group: Group | None = None
    ready: bool = False
    log_start: int = 0
    given_at: float = 0.0

    def log_tail(self) -> str:
        """Return the last of what it printed since it was given its group."""
        try:
            start = max(self.log_start, self.log.stat().st_size - LOG_BYTES)  # what hangs may print for hours
            with self.log.open("rb") as file:
                file.seek(start)
                return tail(file.read(LOG_BYTES).decode(errors="replace"))
        except OSError:
            return ""


def execute_in_processes(
    groups: Sequence[Group],
    work: Work,
    jobs: int,
    threads: int,
    observer: Observer,
    on_lost: OnLost,
    stop: Callable[[], bool],
    run_timeout: float | None = None,
) -> None:
    """Work on every group in at most `jobs` processes; see Executor.execute."""
    waiting = deque(groups)
    workers: list[_Worker] = []
    try:
        while True:
            if stop():
                waiting.clear()
            while waiting and len(workers) < jobs:
                workers.append(_start(work, threads))
                _give(workers[-1], waiting)
            if not workers:
                return
            interruption.check()
            for worker in _overdue(workers, run_timeout):
                workers.remove(worker)
                _end_overdue(worker, run_timeout, on_lost)
            for worker in _with_news(workers):
                if not _hear(worker, observer, on_lost):
                    workers.remove(worker)
                elif worker.group is None:
                    if stop():
                        waiting.clear()
                    if not _give(worker, waiting):
                        workers.remove(worker)
                        _end([worker])
    finally:
        _terminate(workers)


def _start(work: Work, threads: int) -> _Worker:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    descriptor, log = tempfile.mkstemp(prefix="gan_bench-", suffix=".log")
    os.close(descriptor)
    process = context.Process(target=serve, args=(there, Path(log)), name="gan_bench worker")
    try:
        with _environment(dict.fromkeys(THREAD_VARIABLES, str(threads))):
            process.start()
    finally:
        there.close()  # only the worker holds that end, so that its death is the end of the pipe
    worker = _Worker(process, here, Path(log))
    try:
        here.send(work)
    except (BrokenPipeError, ConnectionResetError):
        pass  # it is dead already: the next news tells
    except BaseException:  # work that can't be pickled, or an interrupt
        _terminate([worker])
        raise
    return worker


def _give(worker: _Worker, waiting: deque[Group]) -> bool:
    """Send the worker its next group; return whether there was one."""
    if not waiting:
        return False
    worker.group = waiting.popleft()
    worker.given_at, worker.log_start = time.monotonic(), worker.log.stat().st_size
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        worker.pipe.send(worker.group)
    return True


def _with_news(workers: list[_Worker]) -> list[_Worker]:
    heard = wait([worker.pipe for worker in workers], POLL_SECONDS)
    return [worker for worker in workers if worker.pipe in heard]


def _hear(worker: _Worker, observer: Observer, on_lost: OnLost) -> bool:
    """Take one message of the worker; return whether it lives."""
    try:
        message = worker.pipe.recv()
    except (EOFError, OSError):
        interruption.check()  # whoever sent this process a signal may have sent it to the worker, too: no failure
        worker.process.join(PATIENCE_SECONDS)
        code = worker.process.exitcode
        told = worker.log_tail()
        _terminate([worker])
        if worker.group is not None:
            on_lost(worker.group, reason_of_exit(code, ready=worker.ready), told)
        return False
    match message:
        case Progress():
            observer(message)
        case Ready():
            worker.ready = True
        case Done(fault):
            group, worker.group = worker.group, None
            if fault and group is not None:
                on_lost(group, fault, worker.log_tail())
    return True


def _overdue(workers: Sequence[_Worker], run_timeout: float | None) -> list[_Worker]:
    now = time.monotonic()
    return [w for w in workers if run_timeout is not None and w.group and now - w.given_at > run_timeout]


def _end_overdue(worker: _Worker, run_timeout: float | None, on_lost: OnLost) -> None:
    """End a worker that hangs, and all that it started; what hangs is not asked first."""
    told, group = worker.log_tail(), worker.group
    _kill(worker)
    _terminate([worker])
    if group is not None:
        on_lost(group, f"it took longer than {run_timeout:g} s and was ended (--run-timeout)", told)


def _end(workers: Sequence[_Worker]) -> None:
    """Let workers that have nothing to do leave by themselves: the end of their pipe tells them."""
    for worker in workers:
        worker.pipe.close()
        worker.process.join(PATIENCE_SECONDS)
    _terminate(workers)


def _terminate(workers: Sequence[_Worker]) -> None:
    """End workers whatever they do. All are told first: a second interrupt may come while they are waited for."""
    for worker in workers:
        worker.process.terminate()
    deadline = time.monotonic() + PATIENCE_SECONDS  # of all together: many that are stuck must not add up
    for worker in workers:
        worker.process.join(max(0.0, deadline - time.monotonic()))
        _kill(worker)
        worker.pipe.close()
        worker.log.unlink(missing_ok=True)


def _kill(worker: _Worker) -> None:
    """End a worker, its process group, which outlives it where the work has started others, and descendants."""
    pid = worker.process.pid
    if pid is None:
        return
    # asked while it lives: some may have left its group, and later its number may be another's
    family = _descendants(pid) if worker.process.is_alive() else []
    with contextlib.suppress(OSError, AttributeError):
        os.killpg(pid, signal.SIGKILL)
    if worker.process.is_alive():
        worker.process.kill()
    for process in family:
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
    """Set variables for a process that is about to be started: torch reads them when it is imported there."""
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
