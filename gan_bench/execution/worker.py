"""A worker process: takes groups from its pipe, works on them, and sends back what they report."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import signal
import sys
import threading
import traceback
from dataclasses import dataclass
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from pathlib import Path

from gan_bench import interruption
from gan_bench.execution.executor import Work
from gan_bench.matrix import Group
from gan_bench.reason import reason_of

POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Ready:
    """The worker has what it needs and begins."""


@dataclass(frozen=True)
class Done:
    """The worker has ended its group; `fault` is empty unless the work raised."""

    fault: str = ""


def serve(pipe: Connection, log: Path) -> None:
    """Work on groups until the pipe ends; the first thing sent through it is the work itself.

    What the work prints goes to `log`. Told to end (SIGTERM), it stops where it can be gone on with.
    """
    _set_apart(log)
    try:
        with interruption.by_signals():
            # An interrupt typed at a terminal is the parent's to answer.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            _serve(pipe)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return
    except interruption.Interrupted:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTERM)  # so that its exit code says what ended it


def _set_apart(log: Path) -> None:
    """Lead a process group of its own, which can be ended as a whole, and print into the log."""
    if hasattr(os, "setpgid"):
        os.setpgid(0, 0)
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
    faulthandler.enable()


def _serve(pipe: Connection) -> None:
    work = _receive_work(pipe)
    pipe.send(Ready())
    while True:
        while not pipe.poll(POLL_SECONDS):
            interruption.check()
        group: Group = pipe.recv()
        pipe.send(Done(work if isinstance(work, str) else _fault_of(work, group, pipe)))
        interruption.check()


def _receive_work(pipe: Connection) -> Work | str:
    """Return the work, or why it can't be had here: to unpickle it imports what it is made of."""
    try:
        work: Work = pipe.recv()
    except EOFError:
        raise
    except Exception as error:
        return reason_of(error)
    return work


def _fault_of(work: Work, group: Group, pipe: Connection) -> str:
    try:
        work(group, pipe.send)
    except (BrokenPipeError, ConnectionResetError):
        raise
    except Exception as error:
        traceback.print_exc()
        return reason_of(error)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return ""


def _leave_with_parent() -> None:
    """End this process when its parent is gone, however it went: nobody would hear of the results."""
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        with contextlib.suppress(OSError, AttributeError):
            os.killpg(os.getpid(), signal.SIGKILL)  # and whatever the work has started
        os._exit(1)
