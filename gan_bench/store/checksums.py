"""SHA256SUMS: the checksums of a trained run's files, in the format of `sha256sum -c`.

An evaluation of a trained run replaces scores.json and record.json. Before it does, their previous checksums are
noted in comment lines, so that a kill between two renames leaves files that match one or the other.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from gan_bench.core.errors import ReadError
from gan_bench.core.limits import MAX_ARRAYS_BYTES, MAX_SUMS_BYTES
from gan_bench.core.reading import entries, file_hash
from gan_bench.core.records import RunRecord
from gan_bench.store import fenced_writes
from gan_bench.store.run_folder import ENVIRONMENT, EPOCHS, RECORD, SAMPLES, SCORES, SPEC, RunFolder

SUMS = "SHA256SUMS"
READ = (SPEC, ENVIRONMENT, EPOCHS, SCORES, RECORD)
"""The files a report is made from; verified whenever a run is read. Weights and grids are verified by `doctor`."""
LINE = re.compile(r"(# previous )?([0-9a-f]{64})  ([A-Za-z0-9._/-]{1,200})")
SPARE = ".previous."

Sums = dict[str, set[str]]
"""Valid checksums by file name: one, or two while a file is being replaced."""


def write(folder: RunFolder, record: bytes) -> None:
    """Write the checksums of the folder's files, and of `record`, which is written next, last of all."""
    sums = {name: {_sum(folder, name)} for name in files(folder)}
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
        _write(folder, new, {name: {_sum(folder, name)} for name in contents if folder.has(name)})
    for name, data in contents.items():
        fenced_writes.write_bytes(folder, folder.file(name), data)
    if sums:
        _write(folder, new, {})


def files(folder: RunFolder) -> dict[str, Path]:
    """Return the files of a run by their names within its folder, without spares, hidden files and SHA256SUMS."""
    found = {}
    for place in (folder.path, folder.path / SAMPLES):
        for entry in entries(place, root=folder.runs):
            hidden = entry.name.startswith(".") or SPARE in entry.name or entry.name == SUMS
            if not hidden and entry.is_file(follow_symlinks=False):
                path = place / entry.name
                found[path.relative_to(folder.path).as_posix()] = path
    return found


def read(folder: RunFolder) -> tuple[dict[str, bytes], RunRecord] | None:
    """Return the contents of the files that reports are made from, and the record among them; None without one.

    Raises ReadError for a trained run with a file that does not match its checksum: nothing but the record is
    looked at before. A failed run may be in training again, so its files may have changed.
    """

    def is_trained(contents: Mapping[str, bytes]) -> bool:
        return RECORD in contents and folder.parse_record(contents[RECORD]).status != "failed"

    contents = _settled(folder, is_trained) if folder.has(RECORD) else {}
    return (contents, folder.parse_record(contents[RECORD])) if RECORD in contents else None


def check(folder: RunFolder) -> None:
    """Raise ReadError if a file that reports are made from does not match its checksum."""
    _settled(folder, lambda contents: True)


def _settled(folder: RunFolder, is_judged: Callable[[Mapping[str, bytes]], bool]) -> dict[str, bytes]:
    """Return the contents of the files, which match their checksums if they are judged by them.

    If SHA256SUMS changes meanwhile, another process is replacing files, and they are read again.
    """
    before = b""
    while True:
        now = folder.read(SUMS, MAX_SUMS_BYTES) if folder.has(SUMS) else b""
        contents = {name: folder.read(name) for name in READ if folder.has(name)}
        fault = _first_fault(folder, contents, now) if now and is_judged(contents) else ""
        if not fault:
            return contents
        if now == before:
            raise ReadError(fault)
        before = now


def _first_fault(folder: RunFolder, contents: Mapping[str, bytes], text: bytes) -> str:
    sums = _parse(folder, text)
    for name in READ:
        digest = _sha256(contents[name]) if name in contents else None
        if fault := _fault(folder, name, digest, sums):
            return fault
    return ""


def _fault(folder: RunFolder, name: str, digest: str | None, sums: Sums) -> str:
    """Return what is wrong with a file; `digest` is None for a file that is missing."""
    path = folder.path / name
    if name not in sums:
        return f"{path}: has no line in {SUMS}, or {SUMS} was changed" if digest else ""
    if digest is None:
        return f"{path}: is missing, or {SUMS} was changed"
    return "" if digest in sums[name] else f"{path}: was changed after it was written, or {SUMS} was"


def faults(folder: RunFolder) -> Iterator[tuple[str, str]]:
    """Yield (file name, fault) for all files that don't match their checksums.

    A folder without SHA256SUMS has no faults here; `doctor` reports that.
    """
    if not folder.has(SUMS):
        return
    sums = _read(folder)
    for name in sorted({*READ, *sums}):
        try:
            digest = _sum(folder, name)
        except ReadError as error:
            if not error.missing:
                yield name, str(error)
                continue
            digest = None
        if fault := _fault(folder, name, digest, sums):
            yield name, fault


def orphans(folder: RunFolder) -> list[str]:
    """Return the files of a trained run that have no checksum."""
    return sorted(files(folder).keys() - _read(folder).keys())


def _write(folder: RunFolder, sums: Sums, previous: Sums) -> None:
    lines = [f"{digest}  {name}\n" for name in sorted(sums) for digest in sums[name]]
    lines += [f"# previous {digest}  {name}\n" for name in sorted(previous) for digest in previous[name]]
    fenced_writes.write_bytes(folder, folder.file(SUMS), "".join(lines).encode())


def _read(folder: RunFolder) -> Sums:
    return _parse(folder, folder.read(SUMS, MAX_SUMS_BYTES))


def _parse(folder: RunFolder, text: bytes) -> Sums:
    sums: Sums = {}
    for line in text.decode("latin-1").splitlines() or [""]:
        match = LINE.fullmatch(line)
        if not match:
            raise ReadError(f"{folder.path / SUMS}: is not a list of checksums, or is incomplete")
        sums.setdefault(match[3], set()).add(match[2])
    return sums


def _sum(folder: RunFolder, name: str) -> str:
    return file_hash(folder.path / name, max_bytes=MAX_ARRAYS_BYTES, root=folder.runs)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
