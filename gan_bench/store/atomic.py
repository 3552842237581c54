"""Files that are written whole or not at all: beside, flushed to the disk, then renamed into place."""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from gan_bench.errors import RunError

SUFFIX = ".tmp"
NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
CURES = {
    errno.ENOSPC: "free some space and type the same command again; what is finished is kept",
    errno.EDQUOT: "free some of your quota and type the same command again; what is finished is kept",
    errno.EFBIG: "files may not grow so large here (ulimit -f): raise the limit and type the same command again",
    errno.EMFILE: "too many files are open (ulimit -n): raise the limit and type the same command again",
    errno.EROFS: "choose a folder that can be written to with --out",
    errno.EACCES: "choose a folder that you may write to with --out",
}


def write_bytes(path: Path, data: bytes) -> None:
    """Replace `path` by `data` so that a reader, or a killed writer, leaves the old file or the new one.

    Raises RunError, and leaves the old file as it was, when the disk refuses.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}{SUFFIX}")
    try:
        with beside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise refused(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)


def create_bytes(path: Path, data: bytes) -> bool:
    """Make `path` with `data` in it unless there is one already; of several processes only one is told True.

    By a hard link, which is atomic on network folders, too. Raises RunError when the disk refuses.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}{SUFFIX}")
    try:
        with beside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        made = _linked(beside, path)
        sync_folder(path.parent)
        return made
    except OSError as error:
        raise refused(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Replace `path` by `text` in UTF-8, atomically."""
    write_bytes(path, text.encode())


def write_json(path: Path, values: object) -> None:
    """Replace `path` by JSON, atomically; a number that isn't finite becomes null, as JSON has no word for it."""
    write_text(path, json.dumps(_nulled(values), indent=1, allow_nan=False) + "\n")


def move(source: Path, target: Path) -> None:
    """Rename a file over another in the same folder; raise RunError when the disk refuses."""
    try:
        source.replace(target)
        sync_folder(target.parent)
    except OSError as error:
        raise refused(target, error) from error


def sync_folder(folder: Path) -> None:
    """Make renames in `folder` survive a power cut, where the system lets a folder be opened."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sweep(folder: Path) -> None:
    """Remove what writers that were killed left beside their files in `folder`."""
    for path in folder.glob(f".*{SUFFIX}"):
        path.unlink(missing_ok=True)


def refused(path: Path, error: OSError) -> RunError:
    """Return the error for a write that the system refused, with what to do about it."""
    what = (error.strerror or str(error)).lower()
    cure = CURES.get(error.errno or 0, "see to the disk and type the same command again")
    return RunError(f"could not write {path}: {what}; {cure}")


def _linked(beside: Path, path: Path) -> bool:
    try:
        os.link(beside, path)
    except FileExistsError:
        return beside.stat().st_nlink == 2  # NFS: an answer was lost, and the link asked for twice
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        try:
            with path.open("xb") as file:  # a file system without links has no other means
                file.write(beside.read_bytes())
                file.flush()
                os.fsync(file.fileno())
        except FileExistsError:
            return False
    return True


def _nulled(values: object) -> object:
    if isinstance(values, float):
        return values if math.isfinite(values) else None
    if isinstance(values, Mapping):
        return {key: _nulled(value) for key, value in values.items()}
    if isinstance(values, Sequence) and not isinstance(values, str):
        return [_nulled(value) for value in values]
    return values
