"""A worker process: receives groups through its pipe, executes them and sends their events back."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from gan_bench.core import signals
from gan_bench.core.events import ListenerError, shielded
from gan_bench.core.failures import failure_reason
from gan_bench.core.matrix import Group
from gan_bench.runner.executors.base import Work

POLL_SECONDS = 0.2


class ParentGone(BaseException):
    """The pipe to the parent process is closed."""


@dataclass(frozen=True)
class Ready:
    """The worker has received its work and is ready for groups."""


@dataclass(frozen=True)
class Done:
    """The worker finished its group; `fault` is empty unless the work raised."""

    fault: str = ""


def serve(pipe: Connection, log: Path) -> None:
    """Execute groups until the pipe closes; the first object received is the work itself.

    Output goes to `log`. On SIGTERM the work stops at its next checkpoint.
    """
    _isolate(log)
    try:
        with signals.handle_signals():
            # Ctrl-C at a terminal is handled by the parent
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            _serve(pipe)
    except (ParentGone, ListenerError):
        return
    except signals.Interrupted:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTERM)  # so that its exit code names the signal


def _isolate(log: Path) -> None:
    """Start a process group, which can be killed as a whole, and redirect output to the log."""
    if hasattr(os, "setpgid"):
        os.setpgid(0, 0)
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
    faulthandler.enable()


def _serve(pipe: Connection) -> None:
    send: Callable[[Any], None] = shielded(pipe.send)
    work = _receive_work(pipe)
    send(Ready())
    while True:
        while not pipe.poll(POLL_SECONDS):
            signals.check()
        group: Group = _receive(pipe)
        send(Done(work if isinstance(work, str) else _execute(work, group, send)))
        signals.check()


def _receive(pipe: Connection) -> Any:
    try:
        return pipe.recv()
    except (OSError, EOFError) as error:
        raise ParentGone from error


def _receive_work(pipe: Connection) -> Work | str:
    """Return the work, or why it can't be unpickled, which imports its modules."""
    try:
        work: Work = _receive(pipe)
    except Exception as error:
        return failure_reason(error)
    return work


def _execute(work: Work, group: Group, send: Callable[[Any], None]) -> str:
    """Return the reason for which the work raised, whatever it raised; empty if it did not."""
    try:
        work(group, send)
    except (ListenerError, signals.Interrupted):
        raise
    except BaseException as error:
        traceback.print_exc()
        return failure_reason(error)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return ""


def _exit_with_parent() -> None:
    """Exit when the parent process has ended, however it ended."""
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        with contextlib.suppress(OSError, AttributeError):
            os.killpg(os.getpid(), signal.SIGKILL)  # with every process the work started
        os._exit(1)
