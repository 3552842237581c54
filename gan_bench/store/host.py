"""Identity of this machine and of its processes."""

from __future__ import annotations

import functools
import os
import socket
import sys
from pathlib import Path

import psutil

PROC = Path("/proc")


@functools.cache
def host_id() -> str:
    """Return the scope in which process ids are unique: host name, boot id and PID namespace.

    Empty where it is unknown, on Linux without /proc: containers may share a host name, not their processes.
    """
    parts = [socket.gethostname()]
    for path in (PROC / "sys/kernel/random/boot_id", PROC / "self/ns/pid"):
        try:
            parts.append(str(path.readlink()) if path.is_symlink() else path.read_text().strip())
        except OSError:
            if sys.platform == "linux":
                return ""
    return " ".join(parts)


def process_started(pid: int) -> str | None:
    """Return the start time of a process of this machine as the system gives it; None if it is not alive.

    The start time tells a process from a later one with the same id. Empty for a live process that can't be
    inspected: some systems hide processes (Linux without /proc, or with /proc mounted hidepid).
    """
    try:
        fields = (PROC / f"{pid}/stat").read_text().rpartition(")")[2].split()
        return None if fields[0] in "ZX" else fields[19]  # ticks since boot: independent of clock changes
    except (OSError, IndexError):
        pass
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else f"{process.create_time():.0f}"
    except psutil.Error:
        return "" if _exists(pid) else None


def _exists(pid: int) -> bool:
    if os.name != "posix":  # elsewhere 0 is a signal
        return False
    try:
        os.kill(pid, 0)  # sends nothing
    except PermissionError:
        return True  # another user's process
    except (ProcessLookupError, OverflowError):
        return False
    return True
