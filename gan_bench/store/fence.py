"""Writes into a run's folder that only the process which holds its lease can make.

To look at the lease and then to rename is not enough: a process may be stopped in between, be overtaken, and wake
up. So the file that it is about to rename carries the number of its lease, and whoever takes a run over removes
the files of lower numbers before reading anything (`lease.take`). A sleeper finds nothing left to rename. For this
to hold, what readers know by name is only ever replaced, never moved or removed, until the run has its outcome.
"""

from __future__ import annotations

import os
from pathlib import Path

from gan_bench.store import lease
from gan_bench.store.atomic import NO_LINKS, json_bytes, private, rename, write_new
from gan_bench.store.folder import RunFolder


def write_bytes(folder: RunFolder, path: Path, data: bytes) -> None:
    """Replace a file of the run atomically.

    Raises RunTakenError, and changes nothing, if another process has taken the run over; RunError when the disk
    refuses.
    """
    with private(path, lease.check(folder.path)) as new:
        write_new(new, data)
        publish(folder, new, path)


def write_json(folder: RunFolder, path: Path, values: object) -> None:
    """Replace a file of the run by JSON; see `write_bytes`."""
    write_bytes(folder, path, json_bytes(values))


def copy(folder: RunFolder, source: Path, path: Path) -> None:
    """Replace `path` by what `source` is now: one file of two names, where the file system has hard links."""
    with private(path, lease.check(folder.path)) as new:
        try:
            os.link(source, new)
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            write_new(new, source.read_bytes())
        publish(folder, new, path)


def publish(folder: RunFolder, new: Path, path: Path) -> None:
    """Put a file that carries this process's mark in the place of `path`, unless the run was taken over since."""
    lease.check(folder.path)
    try:
        rename(new, path)
    except FileNotFoundError:
        lease.check(folder.path)  # stopped since the line above, and overtaken
        raise
