"""Identity of this machine and of its processes."""

from __future__ import annotations

import contextlib
import functools
import os
import socket
from pathlib import Path

import psutil


@functools.cache
def host_id() -> str:
    """Return the scope in which process ids are unique: host name, boot id and PID namespace."""
    parts = [socket.gethostname()]
    for source in ("/proc/sys/kernel/random/boot_id", "/proc/self/ns/pid"):
        path = Path(source)
        try:
            parts.append(str(path.readlink()) if path.is_symlink() else path.read_text().strip())
        except OSError:
            continue
    return " ".join(parts)


def process_started(pid: int) -> str | None:
    """Return the start time of a process of this machine as the system gives it; None if it is not alive.

    The start time tells a process from a later one with the same id. Raises PermissionError for a live process
    that can't be inspected: some systems hide other users' processes (Linux with /proc mounted hidepid).
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if fields[0] in "ZX" else fields[19]  # ticks since boot: independent of clock changes
    except (OSError, IndexError):
        pass
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else f"{process.create_time():.0f}"
    except psutil.Error:
        if os.name == "posix":  # elsewhere 0 is a signal
            with contextlib.suppress(ProcessLookupError, OverflowError):
                os.kill(pid, 0)  # sends nothing; PermissionError for another user's hidden process
        return None
