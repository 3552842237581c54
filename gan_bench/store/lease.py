"""Who is training a run at this moment: numbered lease files, of which the highest counts. No file locks.

`.lease.N` names its holder by host, process and a random token, and the holder touches it every few seconds. To
take a run over from a dead holder is to create `.lease.N+1`, which only one process can (a hard link is atomic, on
NFS too), and to remove what lower numbers have prepared for a rename. Whoever wakes up with a lower number finds
that it is no longer the holder, or nothing left to rename: see `fence`.
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

from gan_bench.errors import RunError, RunTakenError
from gan_bench.store.atomic import create_bytes, left_beside, refused
from gan_bench.store.host import host_id, process_started

NAME = re.compile(r"\.lease\.(\d{1,9})")
HEARTBEAT_SECONDS = 5.0
STALE_SECONDS = 45.0
"""A holder whose heart was watched this long without a beat is dead. By the watcher's own steady clock: clocks of
two hosts differ, and jump."""
SHOWN_SECONDS = 120.0
"""What is only shown, and decides nothing, goes by the file's time."""


@dataclass(frozen=True)
class Holder:
    """A process, told apart from all others on all hosts and at all times."""

    host: str
    pid: int
    started: str
    token: str


@dataclass(frozen=True)
class Lease:
    """The highest lease file of a run's folder; a holder of None can't be read."""

    path: Path
    number: int
    holder: Holder | None
    beat: int


# By folder and for the whole process: two Store objects of one process are one holder.
_held: dict[Path, tuple[Path, str]] = {}
_watched: dict[Path, tuple[Path, int, float]] = {}
_guard = threading.RLock()
_heart_of = 0


def take(folder: Path) -> None:
    """Hold the lease of a run's folder until `give_back` or the process's end; RunTakenError if another has it."""
    with _guard:
        if folder in _held:
            check(folder)
            return
        current = read(folder)
        if current is not None and not _is_dead(folder, current):
            raise _taken(folder)
        number = current.number + 1 if current else 1
        path, token = folder / f".lease.{number}", secrets.token_hex(8)
        holder = Holder(host_id(), os.getpid(), process_started(os.getpid()) or "", token)
        if not create_bytes(path, json.dumps(asdict(holder)).encode()):
            raise _taken(folder)
        highest = read(folder)
        if highest is None or highest.path != path:
            path.unlink(missing_ok=True)  # judged by what was long gone: somebody is further on
            raise _taken(folder)
        try:
            _disarm(folder, number)
        except OSError as error:
            with contextlib.suppress(OSError):  # what stays of it is known as nobody's: `is_provably_dead`
                path.unlink(missing_ok=True)
            raise refused(folder, error) from error
        _held[folder] = (path, token)
        _watched.pop(folder, None)
        _start_heart()


def give_back(folder: Path) -> None:
    """Let others have the lease; nothing happens if this process does not hold it."""
    with _guard:
        held = _held.pop(folder, None)
        if held is not None:
            with contextlib.suppress(OSError, RunError):
                current = read(folder)
                if current is not None and _is_of(current, held):  # the number may be somebody else's by now
                    current.path.unlink(missing_ok=True)


def check(folder: Path) -> int:
    """Return the number of the lease that this process holds; RunTakenError if another process has it now."""
    with _guard:
        held, current = _held.get(folder), read(folder)
        if held is None or current is None or not _is_of(current, held):
            raise RunTakenError(f"{folder.name}: another process has taken this run over; it is left to that one")
        return current.number


def is_held(folder: Path) -> bool:
    """Say whether any process, this one included, seems to train the run in `folder`; for the eye only."""
    current = read(folder)
    if current is None or current.holder is None:
        return False
    lives = _lives(current.holder)
    if lives is not None:
        return lives
    return time.time() - current.beat / 1e9 < SHOWN_SECONDS


def is_provably_dead(lease: Lease) -> bool:
    """Say whether the holder is a process of this very machine that is gone, or this one, which gave it back."""
    holder = lease.holder
    if holder is None or not _is_here(holder):
        return False
    mine = holder.pid == os.getpid() and all(holder.token != token for _, token in _held.values())
    return mine or _lives(holder) is False


def read(folder: Path) -> Lease | None:
    """Return the highest lease of a run's folder."""
    for path in reversed(_files(folder)):
        try:
            with path.open("rb") as file:  # opened, for NFS looks anew at the time of what is opened only
                beat, text = os.fstat(file.fileno()).st_mtime_ns, file.read(4096)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise refused(path, error) from error
        return Lease(path, _number(path), _parsed(text), beat)
    return None


def _files(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:  # files only: nothing that a hostile folder holds is waited for
            names = [each.name for each in entries if NAME.fullmatch(each.name) and each.is_file()]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise refused(folder, error) from error
    return sorted((folder / name for name in names), key=_number)


def _number(path: Path) -> int:
    match = NAME.fullmatch(path.name)
    return int(match[1]) if match else 0


def _parsed(text: bytes) -> Holder | None:
    try:
        values = json.loads(text)
        return Holder(str(values["host"]), int(values["pid"]), str(values["started"]), str(values["token"]))
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def _disarm(folder: Path, number: int) -> None:
    """Remove what holders of lower numbers could still rename, and their leases; raises OSError.

    Not what is of this number or above: had this process slept since it took the lease, that is its successor's.
    """
    for path, mark in left_beside(folder):
        if mark < number:
            path.unlink(missing_ok=True)
    for path in _files(folder):
        if _number(path) < number:
            path.unlink(missing_ok=True)


def _is_dead(folder: Path, lease: Lease) -> bool:
    """Say whether a lease may be taken over: its process is gone, or its heart was watched long enough."""
    if is_provably_dead(lease):
        return True
    now = time.monotonic()
    path, beat, since = _watched.get(folder, (None, 0, now))
    if path != lease.path or beat != lease.beat:
        _watched[folder] = (lease.path, lease.beat, now)
        return False
    return now - since >= STALE_SECONDS


def _is_of(lease: Lease, held: tuple[Path, str]) -> bool:
    return lease.holder is not None and (lease.path, lease.holder.token) == held


def _is_here(holder: Holder) -> bool:
    return holder.host == host_id()


def _lives(holder: Holder) -> bool | None:
    """Say whether the holder is alive; None where only its heartbeat can tell: elsewhere, or hidden from us."""
    try:
        return process_started(holder.pid) == holder.started if _is_here(holder) else None
    except PermissionError:
        return None


def _taken(folder: Path) -> RunTakenError:
    return RunTakenError(f"{folder.name}: another process is training this run; it is left to that one")


def _start_heart() -> None:
    """Start this process's heartbeat; after a fork the child needs one of its own."""
    global _heart_of
    if _heart_of != os.getpid():
        _heart_of = os.getpid()
        threading.Thread(target=_beat, name="gan_bench leases", daemon=True).start()


def _beat() -> None:
    while True:
        time.sleep(HEARTBEAT_SECONDS)
        for path, _ in list(_held.values()):
            with contextlib.suppress(OSError):  # gone: the next write will find that out, and say so
                os.utime(path)
