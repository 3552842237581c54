"""SHA256SUMS: the checksums of a trained run's files, in the format of `sha256sum -c`.

An evaluation of a trained run replaces scores.json and record.json. Before it does, their previous checksums are
noted in comment lines, so that a kill between two renames leaves files that match one or the other.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from gan_bench.core.errors import RunError
from gan_bench.store import fenced_writes
from gan_bench.store.run_folder import ENVIRONMENT, EPOCHS, RECORD, SCORES, SPEC, RunFolder

SUMS = "SHA256SUMS"
READ = (SPEC, ENVIRONMENT, EPOCHS, SCORES, RECORD)
"""The files a report is made from; verified whenever a run is read. Weights and grids are verified by `doctor`."""
LINE = re.compile(r"(# previous )?([0-9a-f]{64})  ([A-Za-z0-9._/-]{1,200})")
SPARE = ".previous."

Sums = dict[str, set[str]]
"""Valid checksums by file name: one, or two while a file is being replaced."""


def write(folder: RunFolder, record: bytes) -> None:
    """Write the checksums of the folder's files, and of `record`, which is written next, last of all."""
    sums = {name: {_sum(path)} for name, path in files(folder).items()}
    sums[RECORD] = {_sha256(record)}
    _write(folder, sums, {})


def replace(folder: RunFolder, contents: Mapping[str, bytes]) -> None:
    """Replace files of a trained run in the given order, together with their checksums.

    Raises RunError, and changes nothing, where a file does not match its checksum. A folder without SHA256SUMS
    stays without: its other files were never verified.
    """
    check(folder)
    sums = _read(folder) if folder.has(SUMS) else {}
    new = {**sums, **{name: {_sha256(data)} for name, data in contents.items()}}
    if sums:
        _write(folder, new, {name: {_sum(folder.file(name))} for name in contents if folder.has(name)})
    for name, data in contents.items():
        fenced_writes.write_bytes(folder, folder.file(name), data)
    if sums:
        _write(folder, new, {})


def files(folder: RunFolder) -> dict[str, Path]:
    """Return the files of a run by their names within its folder, without spares, hidden files and SHA256SUMS."""
    found = {}
    for place in (folder.path, folder.samples):
        for path in sorted(place.iterdir()) if place.is_dir() else []:
            hidden = path.name.startswith(".") or SPARE in path.name or path.name == SUMS
            if not hidden and not path.is_symlink() and path.is_file():
                found[path.relative_to(folder.path).as_posix()] = path
    return found


def check(folder: RunFolder) -> None:
    """Raise RunError if a file that reports are made from does not match its checksum.

    If SHA256SUMS changes meanwhile, another process is replacing files, and they are checked again.
    """
    before = b""
    while fault := next(faults(folder, READ), None):
        now = folder.file(SUMS).read_bytes() if folder.has(SUMS) else b""
        if now == before:
            raise RunError(fault[1])
        before = now


def faults(folder: RunFolder, names: tuple[str, ...] | None = None) -> Iterator[tuple[str, str]]:
    """Yield (file name, fault) for the files called `names`, or for all, that don't match their checksums.

    A folder without SHA256SUMS has no faults here; `doctor` reports that.
    """
    if not folder.has(SUMS):
        return
    sums = _read(folder)
    for name in names or sorted({*READ, *sums}):
        path = folder.file(name)
        if name not in sums:
            if path.is_file():
                yield name, f"{path}: has no line in {SUMS}, or {SUMS} was changed"
        elif not path.is_file():
            yield name, f"{path}: is missing, or {SUMS} was changed"
        elif _sum(path) not in sums[name]:
            yield name, f"{path}: was changed after it was written, or {SUMS} was"


def orphans(folder: RunFolder) -> list[str]:
    """Return the files of a trained run that have no checksum."""
    return sorted(files(folder).keys() - _read(folder).keys())


def _write(folder: RunFolder, sums: Sums, previous: Sums) -> None:
    lines = [f"{digest}  {name}\n" for name in sorted(sums) for digest in sums[name]]
    lines += [f"# previous {digest}  {name}\n" for name in sorted(previous) for digest in previous[name]]
    fenced_writes.write_bytes(folder, folder.file(SUMS), "".join(lines).encode())


def _read(folder: RunFolder) -> Sums:
    path = folder.file(SUMS)
    try:
        matches = [LINE.fullmatch(line) for line in path.read_text(encoding="ascii").splitlines()]
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: can't be read: {error}") from error
    if not matches or not all(matches):
        raise RunError(f"{path}: is not a list of checksums, or is incomplete")
    sums: Sums = {}
    for match in filter(None, matches):
        sums.setdefault(match[3], set()).add(match[2])
    return sums


def _sum(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise RunError(f"{path}: {(error.strerror or str(error)).lower()}") from error


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
