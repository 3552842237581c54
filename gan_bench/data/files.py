"""Files that are whole or absent: written beside, flushed to disk, then renamed."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


@contextlib.contextmanager
def written_atomically(path: Path) -> Iterator[BinaryIO]:
    """Yield a file that takes `path`'s place once the block ends well; nothing is left of it otherwise.

    It is as open as its folder is, less the umask: a data root may be shared, a `private_folder` is not.
    """
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    mode = path.parent.stat().st_mode & 0o666
    try:
        with open(beside, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def private_folder(path: Path) -> Path:
    """Return the folder, created if need be, open to its owner alone (mode 0700)."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.stat().st_mode & 0o077:
        path.chmod(0o700)
    return path
