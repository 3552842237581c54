"""Who is training a run at this moment: a lock that the system takes back when its holder dies."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path
from typing import IO

from gan_bench.errors import RunError
from gan_bench.store.atomic import refused

if sys.platform != "win32":
    import fcntl

LEASE = ".lease"

# By folder and for the whole process: two Store objects of one process are one holder.
_held: dict[Path, IO[bytes]] = {}
_guard = threading.Lock()


def take(folder: Path) -> None:
    """Hold the lease of a run's folder until `give_back` or the process's end; RunError if another has it."""
    with _guard:
        if folder in _held:
            return
        try:
            file = (folder / LEASE).open("ab")
        except OSError as error:
            raise refused(folder, error) from error
        if not _lock(file) and not _lock_again(file):
            file.close()
            raise RunError(
                f"{folder.name}: another process is training this run; wait for it, or choose another --out"
            )
        _held[folder] = file


def give_back(folder: Path) -> None:
    """Let others have the lease; nothing happens if this process does not hold it."""
    with _guard:
        file = _held.pop(folder, None)
        if file is not None:
            file.close()  # the file stays: to remove it would let two others lock two files of one name


def is_held(folder: Path) -> bool:
    """Say whether any process, this one included, is training the run in `folder`."""
    with _guard:
        if folder in _held:
            return True
        try:
            with (folder / LEASE).open("rb") as file:
                return not _lock(file)
        except OSError:
            return False


def _lock_again(file: IO[bytes]) -> bool:
    time.sleep(0.1)  # somebody who only asked `is_held` had it for a moment
    return _lock(file)


def _lock(file: IO[bytes]) -> bool:
    if sys.platform == "win32":
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # a file system without locks: no worse than having no leases
    return True
