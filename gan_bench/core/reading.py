"""The one reader: regular files only, no link followed, limited in size; everything that is read goes through it.

Files may have been written by others, or damaged. A FIFO, a socket, a device or a folder is refused without being
opened or waited for. With a `root`, no link below it is followed, not even one that is swapped in meanwhile.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from gan_bench.core.errors import ReadError, printable
from gan_bench.core.limits import GIB, KIB, MAX_ENTRIES, MIB

CHUNK = MIB
_FLAGS = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_FLAGS |= getattr(os, "O_NOCTTY", 0)
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_FOLDER = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_DIRECTORY", 0) | _NO_LINK
_WALKS = os.open in os.supports_dir_fd and os.stat in os.supports_dir_fd and bool(_NO_LINK)
LINK = "is a link, which is not followed; replace it by what it leads to, or remove it"
_KINDS = (
    (stat.S_ISLNK, LINK),
    (stat.S_ISDIR, "is a folder, not a file"),
    (stat.S_ISFIFO, "is a FIFO, not a regular file"),
    (stat.S_ISSOCK, "is a socket, not a regular file"),
)


@contextlib.contextmanager
def open_regular(path: Path, *, max_bytes: int, root: Path | None = None) -> Iterator[BinaryIO]:
    """Yield a regular file of at most `max_bytes`, opened for reading.

    With `root`, `path` lies below it, and a link on the way is refused; without, links are followed. Raises
    ReadError, also for an OSError within the block.
    """
    if "\0" in str(path):
        raise ReadError(f"{printable(str(path))}: not a path")
    try:
        with _folder_of(path, root) as (place, name):
            descriptor = _open(path, place, name, follow=root is None)
        with os.fdopen(descriptor, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > max_bytes:
                raise ReadError(f"{path}: has {size:,} bytes, more than the {size_text(max_bytes)} that are read")
            yield file
    except OSError as error:
        raise read_error(path, error) from error


def read_bytes(path: Path, *, max_bytes: int, root: Path | None = None) -> bytes:
    """Return the content of a regular file; raise ReadError."""
    with open_regular(path, max_bytes=max_bytes, root=root) as file:
        size = min(os.fstat(file.fileno()).st_size, max_bytes)
        data = file.read(size + 1)  # not max_bytes + 1, which would allocate that much for every file
        if len(data) > size:  # it has grown since its size was checked
            data += file.read(max_bytes + 1 - len(data))
    if len(data) > max_bytes:
        raise ReadError(f"{path}: more than the {size_text(max_bytes)} that are read")
    return data


def read_text(path: Path, *, max_bytes: int, root: Path | None = None) -> str:
    """Return the content of a regular UTF-8 file; raise ReadError."""
    try:
        return read_bytes(path, max_bytes=max_bytes, root=root).decode("utf-8")
    except UnicodeDecodeError:
        raise ReadError(f"{path}: is not text") from None


def file_hash(path: Path, *, max_bytes: int, root: Path | None = None, algorithm: str = "sha256") -> str:
    """Return the hash of a regular file in hex, in constant memory; raise ReadError."""
    digest = hashlib.new(algorithm, usedforsecurity=False)
    left = max_bytes
    with open_regular(path, max_bytes=max_bytes, root=root) as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
            left -= len(chunk)
            if left < 0:
                raise ReadError(f"{path}: more than the {size_text(max_bytes)} that are read")
    return digest.hexdigest()


def modified_ns(file: BinaryIO) -> int:
    """Return an open file's time of modification; opening it has refreshed the attributes on NFS."""
    return os.fstat(file.fileno()).st_mtime_ns


def exists(path: Path) -> bool:
    """Return whether something has this name, readable or not; a link counts, wherever it leads."""
    return os.path.lexists(path)


def entries(folder: Path, *, root: Path | None = None) -> list[os.DirEntry[str]]:
    """Return what a folder contains, by name; nothing for a missing folder. Raises ReadError.

    With `root`, a link is not followed. `is_dir(follow_symlinks=False)` of an entry needs no system call.
    """
    found: list[os.DirEntry[str]] = []
    try:
        if root is not None and folder != root and stat.S_ISLNK(os.lstat(folder).st_mode):
            raise ReadError(f"{folder}: {LINK}")
        with os.scandir(folder) as listing:
            for entry in listing:
                found.append(entry)
                if len(found) > MAX_ENTRIES:
                    raise ReadError(f"{folder}: has more than {MAX_ENTRIES:,} entries")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise read_error(folder, error) from error
    return sorted(found, key=lambda entry: entry.name)


def read_error(path: Path, error: OSError | ValueError) -> ReadError:
    """Return the error for a file that the system does not let us read."""
    if not isinstance(error, OSError):
        return ReadError(f"{printable(str(path))}: {error}")
    missing = isinstance(error, FileNotFoundError)
    if error.errno == errno.ELOOP:
        return ReadError(f"{path}: {LINK}")
    return ReadError(
        f"{path}: {'is missing' if missing else (error.strerror or str(error)).lower()}", missing=missing
    )


def size_text(size: int) -> str:
    """Return a size such as 64 KiB."""
    for unit, name in ((GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")):
        if size >= unit:
            return f"{size / unit:g} {name}"
    return f"{size} bytes"


@contextlib.contextmanager
def _folder_of(path: Path, root: Path | None) -> Iterator[tuple[int | None, str]]:
    """Yield the descriptor of the folder of `path`, and the name in it; without a root, None and the path."""
    if root is None:
        yield None, str(path)
        return
    *folders, name = path.relative_to(root).parts
    if not _WALKS:
        for above in [*path.parents][: len(folders)]:
            if above.is_symlink():
                raise ReadError(f"{above}: {LINK}")
        yield None, str(path)
        return
    place = os.open(root, _FOLDER & ~_NO_LINK)
    try:
        here = root
        for folder in folders:
            here = here / folder
            below = _open_folder(here, place, folder)
            os.close(place)
            place = below
        yield place, name
    finally:
        os.close(place)


def _open_folder(path: Path, place: int, name: str) -> int:
    try:
        return os.open(name, _FOLDER, dir_fd=place)
    except NotADirectoryError as error:
        if stat.S_ISLNK(os.stat(name, dir_fd=place, follow_symlinks=False).st_mode):
            raise ReadError(f"{path}: {LINK}") from error
        raise


def _open(path: Path, place: int | None, name: str, *, follow: bool) -> int:
    """Return a descriptor of a regular file; checked before it is opened, because opening a device has effects."""
    _require_regular(path, os.stat(name, dir_fd=place, follow_symlinks=follow).st_mode)
    descriptor = os.open(name, _FLAGS if follow else _FLAGS | _NO_LINK, dir_fd=place)
    try:
        _require_regular(path, os.fstat(descriptor).st_mode)  # it may have been replaced in between
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _require_regular(path: Path, mode: int) -> None:
    if not stat.S_ISREG(mode):
        what = next((text for is_kind, text in _KINDS if is_kind(mode)), "is a device, not a regular file")
        raise ReadError(f"{path}: {what}")
