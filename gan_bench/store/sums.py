"""SHA256SUMS: the sum of every file of a run that is over, as `sha256sum -c` reads them, too."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

from gan_bench.errors import RunError
from gan_bench.store import fence
from gan_bench.store.folder import ENVIRONMENT, EPOCHS, RECORD, SCORES, SPEC, RunFolder

SUMS = "SHA256SUMS"
READ = (SPEC, ENVIRONMENT, EPOCHS, SCORES, RECORD)
"""What a report is made from; looked at whenever a run is read, the weights and pictures by `doctor` only."""
LINE = re.compile(r"([0-9a-f]{64})  ([A-Za-z0-9._/-]{1,200})")
SPARE = ".previous."


def write(folder: RunFolder, record: bytes) -> None:
    """Write the sums of what is in the folder, and of `record`, which is about to be written, last."""
    sums = {name: _sum(path) for name, path in files(folder).items()}
    sums[RECORD] = hashlib.sha256(record).hexdigest()
    text = "".join(f"{sums[name]}  {name}\n" for name in sorted(sums))
    fence.write_bytes(folder, folder.file(SUMS), text.encode())


def files(folder: RunFolder) -> dict[str, Path]:
    """Return the files of the run by their names within its folder: no spare, nothing hidden, not the sums."""
    found = {}
    for place in (folder.path, folder.samples):
        for path in sorted(place.iterdir()) if place.is_dir() else []:
            hidden = path.name.startswith(".") or SPARE in path.name or path.name == SUMS
            if not hidden and not path.is_symlink() and path.is_file():
                found[path.relative_to(folder.path).as_posix()] = path
    return found


def check(folder: RunFolder) -> None:
    """Raise RunError if a file that reports are made from is not what it was when the run ended."""
    for _, fault in faults(folder, READ):
        raise RunError(fault)


def faults(folder: RunFolder, names: tuple[str, ...] | None = None) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with the files of the run called `names`, or with all: the file's name, and the fault.

    A folder without any sums has no faults: that is told by `doctor`.
    """
    if not folder.has(SUMS):
        return
    sums = _read(folder)
    for name in names or sorted({*READ, *sums}):
        path = folder.file(name)
        if name not in sums:
            if path.is_file():
                yield name, f"{path}: has no line in {SUMS}, or that has changed since it was written"
        elif not path.is_file():
            yield name, f"{path}: is missing, or {SUMS} has changed"
        elif _sum(path) != sums[name]:
            yield name, f"{path}: has changed since it was written, or {SUMS} has"


def orphans(folder: RunFolder) -> list[str]:
    """Return the files of a run that is over which are not in its sums."""
    return sorted(files(folder).keys() - _read(folder).keys())


def _read(folder: RunFolder) -> dict[str, str]:
    path = folder.file(SUMS)
    try:
        matches = [LINE.fullmatch(line) for line in path.read_text(encoding="ascii").splitlines()]
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: can't be read: {error}") from error
    if not matches or not all(matches):
        raise RunError(f"{path}: is not a list of sums, or only a part of it")
    return {match[2]: match[1] for match in matches if match}


def _sum(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise RunError(f"{path}: {(error.strerror or str(error)).lower()}") from error
