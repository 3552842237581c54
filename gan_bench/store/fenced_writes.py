"""Fenced writes: only the process that holds a run's lease can change the run's files.

Checking the lease before a rename is not enough: the process may be suspended in between and lose the lease.
So a temporary file carries the number of its lease, and taking over a run removes the temporary files of lower
numbers before anything is read (`leases.take`): a suspended process that lost its lease finds nothing to rename.
This requires that files known to readers are only ever replaced, never moved or removed, until the run has its
outcome.
"""

from __future__ import annotations

import os
from pathlib import Path

from gan_bench.core.files import NO_LINKS, rename, temporary, write_new
from gan_bench.core.limits import MAX_ARRAYS_BYTES
from gan_bench.core.reading import read_bytes
from gan_bench.store import leases
from gan_bench.store.run_folder import RunFolder


def write_bytes(folder: RunFolder, path: Path, data: bytes) -> None:
    """Replace a file of the run atomically.

    Raises RunTakenError, and changes nothing, if another process has taken over the run; RunError where the file
    system refuses.
    """
    with temporary(path, leases.check(folder.path)) as new:
        write_new(new, data)
        publish(folder, new, path)


def copy(folder: RunFolder, source: Path, path: Path) -> None:
    """Replace `path` by the current content of `source`: a hard link where the file system supports it."""
    with temporary(path, leases.check(folder.path)) as new:
        try:
            os.link(source, new)
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            write_new(new, read_bytes(source, max_bytes=MAX_ARRAYS_BYTES, root=folder.runs))
        publish(folder, new, path)


def publish(folder: RunFolder, new: Path, path: Path) -> None:
    """Rename a temporary file with this process's mark to `path`; raise RunTakenError if the lease was lost."""
    leases.check(folder.path)
    try:
        rename(new, path)
    except FileNotFoundError:
        leases.check(folder.path)  # suspended since the line above, and taken over
        raise
