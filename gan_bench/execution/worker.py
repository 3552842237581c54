"""A worker process: takes groups from its pipe, works on them, and sends back what they report."""

from __future__ import annotations

import os
import signal
import threading
from dataclasses import dataclass
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait

from gan_bench.execution.executor import Work
from gan_bench.execution.reason import reason_of
from gan_bench.matrix import Group


@dataclass(frozen=True)
class Ready:
    """The worker has what it needs and begins."""


@dataclass(frozen=True)
class Done:
    """The worker has ended its group; `fault` is empty unless the work raised."""

    fault: str = ""


def serve(pipe: Connection) -> None:
    """Work on groups until the pipe ends; the first thing sent through it is the work itself."""
    # An interrupt typed at a terminal reaches every process of it: the parent decides what becomes of it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    try:
        work = _receive_work(pipe)
        pipe.send(Ready())
        while True:
            group: Group = pipe.recv()
            pipe.send(Done(work if isinstance(work, str) else _fault_of(work, group, pipe)))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return


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
        return reason_of(error)
    return ""


def _leave_with_parent() -> None:
    """End this process when its parent is gone, however it went: nobody would hear of the results."""
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
