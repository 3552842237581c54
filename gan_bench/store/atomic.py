"""Files that are written whole or not at all: beside, flushed to the disk, then renamed into place."""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from gan_bench.errors import RunError

SUFFIX = ".tmp"
UNMARKED = 0
MARKED = re.compile(rf"\..+\.(\d{{1,10}})\.[0-9a-f]{{8}}\{SUFFIX}")
NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
CURES = {
    errno.ENOSPC: "free some space and type the same command again; what is finished is kept",
    errno.EDQUOT: "free some of your quota and type the same command again; what is finished is kept",
    errno.EFBIG: "files may not grow so large here (ulimit -f): raise the limit and type the same command again",
    errno.EMFILE: "too many files are open (ulimit -n): raise the limit and type the same command again",
    errno.EROFS: "choose a folder that can be written to with --out",
    errno.EACCES: "choose a folder that you may write to with --out",
}


@contextlib.contextmanager
def private(path: Path, mark: int = UNMARKED) -> Iterator[Path]:
    """Yield a name beside `path` that carries `mark` and is nobody else's; whatever is left of it is removed.

    Raises RunError when the disk refuses something in the block.
    """
    new = path.with_name(f".{path.name}.{mark}.{secrets.token_hex(4)}{SUFFIX}")
    try:
        yield new
    except OSError as error:
        raise refused(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            new.unlink(missing_ok=True)


def write_new(path: Path, data: bytes) -> None:
    """Make a file that isn't there yet, and flush it to the disk; raises OSError."""
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def write_bytes(path: Path, data: bytes) -> None:
    """Replace `path` by `data` so that a reader, or a killed writer, leaves the old file or the new one.

    Raises RunError, and leaves the old file as it was, when the disk refuses.
    """
    with private(path) as new:
        write_new(new, data)
        rename(new, path)


def create_bytes(path: Path, data: bytes) -> bool:
    """Make `path` with `data` in it unless there is one already; of several processes only one is told True.

    By a hard link, which is atomic on network folders, too. Raises RunError when the disk refuses.
    """
    with private(path) as new:
        write_new(new, data)
        made = _linked(new, path)
        sync_folder(path.parent)
        return made


def write_text(path: Path, text: str) -> None:
    """Replace `path` by `text` in UTF-8, atomically."""
    write_bytes(path, text.encode())


def write_json(path: Path, values: object) -> None:
    """Replace `path` by JSON, atomically; see `json_bytes`."""
    write_bytes(path, json_bytes(values))


def json_bytes(values: object) -> bytes:
    """Return values as JSON; a number that isn't finite becomes null, as JSON has no word for it."""
    return (json.dumps(_nulled(values), indent=1, allow_nan=False) + "\n").encode()


def rename(source: Path, target: Path) -> None:
    """Rename a file over another in the same folder, for good; raises OSError."""
    source.replace(target)
    sync_folder(target.parent)


def sync_folder(folder: Path) -> None:
    """Make renames in `folder` survive a power cut, where the system lets a folder be opened."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def left_beside(folder: Path) -> Iterator[tuple[Path, int]]:
    """Yield what writers have, or left, beside their files in `folder` and below, with its mark.

    No link is followed. Raises OSError for a folder that can't be read: what is in it must not be missed.
    """

    def fail(error: OSError) -> None:
        raise error

    for place, _, names in os.walk(folder, onerror=fail):
        for name in names:
            if name.startswith(".") and name.endswith(SUFFIX):
                match = MARKED.fullmatch(name)
                yield Path(place, name), int(match[1]) if match else UNMARKED


def refused(path: Path, error: OSError) -> RunError:
    """Return the error for a write that the system refused, with what to do about it."""
    what = (error.strerror or str(error)).lower()
    cure = CURES.get(error.errno or 0, "see to the disk and type the same command again")
    return RunError(f"could not write {path}: {what}; {cure}")


def _linked(new: Path, path: Path) -> bool:
    try:
        try:
            os.link(new, path)
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            write_new(path, new.read_bytes())  # a file system without links has no other means
    except FileExistsError:
        with contextlib.suppress(FileNotFoundError):
            return new.stat().st_nlink == 2  # NFS: an answer was lost, and the link asked for twice
        return False
    except FileNotFoundError:
        return False  # somebody was first, and has cleared ours away
    return True


def _nulled(values: object) -> object:
    if isinstance(values, float):
        return values if math.isfinite(values) else None
    if isinstance(values, Mapping):
        return {key: _nulled(value) for key, value in values.items()}
    if isinstance(values, Sequence) and not isinstance(values, str):
        return [_nulled(value) for value in values]
    return values
