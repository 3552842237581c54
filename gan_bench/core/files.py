"""Atomic files: written to a temporary file beside the target, flushed to disk, then renamed."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from gan_bench.core.errors import ReadError, RunError
from gan_bench.core.frozen import finite_or_null
from gan_bench.core.reading import entries

SUFFIX = ".tmp"
ATTEMPTS = 3
ABANDONED_SECONDS = 3600.0
UNMARKED = 0
MARKED = re.compile(rf"\..+\.(\d{{1,18}})\.[0-9a-f]{{8}}\{SUFFIX}")
NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
HINTS = {
    errno.ENOSPC: "free some space and type the same command again; finished runs are kept",
    errno.EDQUOT: "free some of your quota and type the same command again; finished runs are kept",
    errno.EFBIG: "the file size limit (ulimit -f) is too low: raise it and type the same command again",
    errno.EMFILE: "too many open files (ulimit -n): raise the limit and type the same command again",
    errno.EROFS: "choose a writable folder with --out",
    errno.EACCES: "choose a folder you can write to with --out",
}


@contextlib.contextmanager
def temporary(path: Path, mark: int = UNMARKED) -> Iterator[Path]:
    """Yield a unique temporary name beside `path` that carries `mark`; remove whatever is left of it at the end.

    Raises RunError for an OSError in the block.
    """
    new = path.with_name(f".{path.name}.{mark}.{secrets.token_hex(4)}{SUFFIX}")
    try:
        yield new
    except OSError as error:
        raise write_error(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            new.unlink(missing_ok=True)


def write_new(path: Path, data: bytes) -> None:
    """Create a file and flush it to disk; raises OSError, also if the file exists."""
    with _open_new(path) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def write_bytes(path: Path, data: bytes) -> Path:
    """Replace `path` by `data` atomically: a reader, or a kill, finds the old file or the new one; return `path`.

    Raises RunError, and leaves the old file as it was, where the file system refuses.
    """
    for attempt in range(ATTEMPTS):
        with temporary(path) as new:
            write_new(new, data)
            try:
                rename(new, path)
            except FileNotFoundError:  # taken for a leftover: `remove_temporary`
                if attempt == ATTEMPTS - 1:
                    raise
                continue
        break
    return path


def remove_temporary(folder: Path, target: str = "", *, older_than: float = 0.0) -> list[Path]:
    """Remove what killed processes left in a folder, or of one target file in it; return the removed paths.

    Without `older_than` (seconds) only where all files are written by `write_bytes`: a live process that loses its
    temporary file writes it again. Files that can't be removed stay, and so do folders below.
    """
    removed = []
    for path in leftovers(folder, target):
        with contextlib.suppress(OSError):
            if time.time() - path.lstat().st_mtime >= older_than:
                path.unlink()
                removed.append(path)
    return removed


def leftovers(folder: Path, target: str = "") -> list[Path]:
    """Return the temporary files in a folder, or those of one target file; none where it can't be listed."""
    try:
        names = [entry.name for entry in entries(folder)]
    except ReadError:
        return []
    return [folder / name for name in names if MARKED.fullmatch(name) and name.startswith(f".{target}")]


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """Yield a binary file that replaces `path` once the block ends without an exception; raises OSError.

    What killed processes left of the same file more than an hour ago is removed.
    """
    remove_temporary(path.parent, f"{path.name}.", older_than=ABANDONED_SECONDS)
    new = path.with_name(f".{path.name}.{UNMARKED}.{secrets.token_hex(4)}{SUFFIX}")
    try:
        with _open_new(new) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        rename(new, path)
    finally:
        with contextlib.suppress(OSError):
            new.unlink(missing_ok=True)


def create_bytes(path: Path, data: bytes) -> bool:
    """Create `path` with `data` unless it exists; of several processes exactly one gets True.

    Uses a hard link, which is atomic on network file systems too. Raises RunError where the file system refuses.
    """
    with temporary(path) as new:
        write_new(new, data)
        created = _link(new, path)
        sync_folder(path.parent)
        return created


def json_bytes(values: object) -> bytes:
    """Return values as indented JSON; numbers that are not finite become null."""
    return (json.dumps(finite_or_null(values), indent=1, allow_nan=False) + "\n").encode()


def rename(source: Path, target: Path) -> None:
    """Rename a file within a folder, durably; raises OSError."""
    source.replace(target)
    sync_folder(target.parent)


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries to disk, so that renames survive a power cut; POSIX only."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def temporary_files(folder: Path) -> Iterator[tuple[Path, int]]:
    """Yield the temporary files in `folder` and below, each with its mark; links are not followed.

    Raises OSError for a folder that can't be read, so that none is missed.
    """

    def fail(error: OSError) -> None:
        raise error

    for place, _, names in os.walk(folder, onerror=fail):
        for name in names:
            if name.startswith(".") and name.endswith(SUFFIX):
                match = MARKED.fullmatch(name)
                yield Path(place, name), int(match[1]) if match else UNMARKED


def write_error(path: Path, error: OSError) -> RunError:
    """Return the error for a refused write, with what to do about it."""
    what = (error.strerror or str(error)).lower()
    hint = HINTS.get(error.errno or 0, "check the disk and type the same command again")
    return RunError(f"could not write {path}: {what}; {hint}")


def inside(path: Path, root: Path) -> bool:
    """Return whether a path, links resolved, lies in `root`."""
    return path.resolve().is_relative_to(root.resolve())


def _open_new(path: Path) -> BinaryIO:
    """Create a file with the permissions of its folder, less the umask: private in a private folder."""
    mode = path.parent.stat().st_mode & 0o666
    return open(path, "xb", opener=lambda name, flags: os.open(name, flags, mode))


def _link(new: Path, path: Path) -> bool:
    try:
        try:
            os.link(new, path)
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            write_new(path, new.read_bytes())  # a file system without hard links
    except FileExistsError:
        with contextlib.suppress(FileNotFoundError):
            return new.stat().st_nlink == 2  # NFS: the reply was lost and the link was requested twice
        return False
    except FileNotFoundError:
        return False  # another process was first, and removed our temporary file
    return True
