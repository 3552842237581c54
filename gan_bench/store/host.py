"""Which machine this is, and when a process of it began, which tells it from a later one of the same number."""

from __future__ import annotations

import contextlib
import functools
import os
import socket
from pathlib import Path

import psutil


@functools.cache
def host_id() -> str:
    """Return a name for the place where process numbers are unique: host, its boot, and the container on it."""
    parts = [socket.gethostname()]
    for source in ("/proc/sys/kernel/random/boot_id", "/proc/self/ns/pid"):
        path = Path(source)
        try:
            parts.append(str(path.readlink()) if path.is_symlink() else path.read_text().strip())
        except OSError:
            continue
    return " ".join(parts)


def process_started(pid: int) -> str | None:
    """Return when a process of this machine began, in words of the system's own; None if it isn't alive.

    Raises PermissionError for one that lives and can't be looked at: some systems hide other users' processes
    (Linux where /proc is mounted with hidepid).
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if fields[0] in "ZX" else fields[19]  # ticks since boot: no clock can change them
    except (OSError, IndexError):
        pass
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else f"{process.create_time():.0f}"
    except psutil.Error:
        if os.name == "posix":  # elsewhere 0 is a signal
            with contextlib.suppress(ProcessLookupError, OverflowError):
                os.kill(pid, 0)  # sends nothing, and is refused where somebody else's process is hidden, but there
        return None
