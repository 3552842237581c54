"""Leases: numbered files that name the process which trains a run; the highest number counts. No file locks.

`.lease.N` identifies its holder by host, process and a random token, and the holder touches it every few seconds.
A run is taken over from a dead holder by creating `.lease.N+1`, which only one process can do (a hard link is
atomic, on NFS too), and by removing the temporary files of lower numbers. A suspended process that resumes with a
lower number is no longer the holder and finds nothing to rename: see `fenced_writes`.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from gan_bench.core.decoding import parse_json
from gan_bench.core.errors import ReadError, RunError, RunTakenError
from gan_bench.core.files import create_bytes, temporary_files, write_error
from gan_bench.core.limits import MAX_MARK_BYTES
from gan_bench.core.reading import modified_ns, open_regular
from gan_bench.store.host import host_id, process_started

NAME = re.compile(r"\.lease\.(\d{1,18})")
MAX_NUMBER = 10**18 - 1
HEARTBEAT_SECONDS = 5.0
STALE_SECONDS = 45.0
"""A holder without a heartbeat for this long is dead. Measured by the observer's monotonic clock, because the wall
clocks of two hosts differ and jump."""
SHOWN_SECONDS = 120.0
"""For display only: the age of a lease file, by wall clock, up to which a run counts as running."""


@dataclass(frozen=True)
class Holder:
    """A process, unique over all hosts and times."""

    host: str
    pid: int
    started: str
    token: str


@dataclass(frozen=True)
class Lease:
    """The highest lease file of a run folder; `holder` is None where it can't be read."""

    path: Path
    number: int
    holder: Holder | None
    beat: int


# Per folder, for the whole process: two Store objects of one process are one holder.
_held: dict[Path, tuple[Path, str]] = {}
_observed: dict[Path, tuple[Path, int, float]] = {}
_guard = threading.RLock()
_heartbeat_pid = 0


def take(folder: Path) -> None:
    """Acquire a run folder's lease until `release` or exit; raise RunTakenError if another process holds it."""
    with _guard:
        if folder in _held:
            check(folder)
            return
        current = read(folder)
        if current is not None and not _is_dead(folder, current):
            raise _taken(folder)
        number = _next_number(folder, current)
        path, token = folder / f".lease.{number}", secrets.token_hex(8)
        holder = Holder(host_id(), os.getpid(), process_started(os.getpid()) or "", token)
        if not create_bytes(path, json.dumps(asdict(holder)).encode()):
            raise _taken(folder)
        highest = read(folder)
        if highest is None or highest.path != path:
            path.unlink(missing_ok=True)  # decided on a stale listing: another process holds a higher number
            raise _taken(folder)
        try:
            _remove_older(folder, number)
        except OSError as error:
            with contextlib.suppress(OSError):  # a leftover counts as released: `is_provably_dead`
                path.unlink(missing_ok=True)
            raise write_error(folder, error) from error
        _held[folder] = (path, token)
        _observed.pop(folder, None)
        _start_heartbeat()


def release(folder: Path) -> None:
    """Release the lease; does nothing if this process does not hold it."""
    with _guard:
        held = _held.pop(folder, None)
        if held is not None:
            with contextlib.suppress(OSError, RunError):
                current = read(folder)
                if current is not None and _is_of(
                    current, held
                ):  # the number may belong to another process by now
                    current.path.unlink(missing_ok=True)


def check(folder: Path) -> int:
    """Return the number of the lease this process holds; raise RunTakenError if another process holds it now."""
    with _guard:
        held, current = _held.get(folder), read(folder)
        if held is None or current is None or not _is_of(current, held):
            raise RunTakenError(
                f"{folder.name}: another process has taken over this run; it is not continued here"
            )
        return current.number


def is_held(folder: Path) -> bool:
    """Return whether some process, this one included, seems to train the run in `folder`; for display only."""
    current = read(folder)
    if current is None or current.holder is None:
        return False
    alive = _is_alive(current.holder)
    if alive is not None:
        return alive
    return time.time() - current.beat / 1e9 < SHOWN_SECONDS


def is_provably_dead(lease: Lease) -> bool:
    """Return whether the holder is a process of this machine that has exited, or this one after a release."""
    holder = lease.holder
    if holder is None or not _is_here(holder):
        return False
    mine = holder.pid == os.getpid() and all(holder.token != token for _, token in _held.values())
    return mine or _is_alive(holder) is False


def read(folder: Path) -> Lease | None:
    """Return the highest lease of a run folder, or None."""
    for path in reversed(_files(folder)):
        try:
            with open_regular(path, max_bytes=MAX_MARK_BYTES, root=folder) as file:
                beat, text = modified_ns(file), file.read(MAX_MARK_BYTES)
        except ReadError as error:
            if error.missing:
                continue
            raise
        return Lease(path, _number(path), _parsed(text), beat)
    return None


def _files(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:  # regular files only: opening a FIFO would block
            names = [
                each.name for each in entries if NAME.fullmatch(each.name) and each.is_file(follow_symlinks=False)
            ]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise write_error(folder, error) from error
    return sorted((folder / name for name in names), key=_number)


def _number(path: Path) -> int:
    match = NAME.fullmatch(path.name)
    return int(match[1]) if match else 0


def _parsed(text: bytes) -> Holder | None:
    try:
        values = parse_json(text, "lease")
        return Holder(str(values["host"]), int(values["pid"]), str(values["started"]), str(values["token"]))
    except (ReadError, ValueError, TypeError, KeyError):
        return None


def remove(folder: Path) -> None:
    """Remove every lease of a run folder; raises OSError."""
    _remove_older(folder, MAX_NUMBER + 1)


def _next_number(folder: Path, dead: Lease | None) -> int:
    """Return the number of the next lease; after the highest possible one, remove all and begin again at 1."""
    if dead is None:
        return 1
    if dead.number < MAX_NUMBER:
        return dead.number + 1
    try:
        remove(folder)
    except OSError as error:
        raise write_error(folder, error) from error
    return 1


def _remove_older(folder: Path, number: int) -> None:
    """Remove the temporary files and leases of lower numbers; raises OSError.

    Files of this number or above stay: they may belong to a successor, if this process was suspended meanwhile.
    """
    for path, mark in temporary_files(folder):
        if mark < number:
            path.unlink(missing_ok=True)
    for path in _files(folder):
        if _number(path) < number:
            path.unlink(missing_ok=True)


def _is_dead(folder: Path, lease: Lease) -> bool:
    """Return whether a lease may be taken over: its process has exited, or its heartbeat has stopped."""
    if is_provably_dead(lease):
        return True
    now = time.monotonic()
    path, beat, since = _observed.get(folder, (None, 0, now))
    if path != lease.path or beat != lease.beat:
        _observed[folder] = (lease.path, lease.beat, now)
        return False
    return now - since >= STALE_SECONDS


def _is_of(lease: Lease, held: tuple[Path, str]) -> bool:
    return lease.holder is not None and (lease.path, lease.holder.token) == held


def _is_here(holder: Holder) -> bool:
    return holder.host == host_id() != ""


def _is_alive(holder: Holder) -> bool | None:
    """Return whether the holder is alive; None where only its heartbeat can tell (other host, hidden process)."""
    if not _is_here(holder):
        return None
    started = process_started(holder.pid)
    return None if started == "" or (started and not holder.started) else started == holder.started


def _taken(folder: Path) -> RunTakenError:
    return RunTakenError(f"{folder.name}: another process is training this run; it is skipped here")


def _start_heartbeat() -> None:
    """Start this process's heartbeat thread; a forked child starts its own."""
    global _heartbeat_pid
    if _heartbeat_pid != os.getpid():
        _heartbeat_pid = os.getpid()
        threading.Thread(target=_beat, name="gan_bench leases", daemon=True).start()


def _beat() -> None:
    while True:
        time.sleep(HEARTBEAT_SECONDS)
        for path, _ in list(_held.values()):
            with contextlib.suppress(OSError):  # removed: the next write raises RunTakenError
                os.utime(path)
