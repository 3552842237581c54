"""A results folder looked over: damaged files, half-written runs, leases and litter; and what may be removed."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gan_bench.errors import RunError, RunTakenError
from gan_bench.registry import NAME
from gan_bench.store import checkpoint as pairs
from gan_bench.store import lease, root_folder, sums
from gan_bench.store.atomic import SUFFIX, left_beside
from gan_bench.store.folder import BEST, CHECKPOINT, SPEC, RunFolder
from gan_bench.store.pictures import is_sound
from gan_bench.store.reader import FINISHED

FORGOTTEN = ".forgotten-"
MEND = "the command that made it goes on from its checkpoint, or starts over"
REPAIR = "--repair removes it"
ELSEWHERE = "move it elsewhere"
AGAIN = "train it anew, if that matters: the same command with --fresh"


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be; `litter` is what nobody will ever read, and may be removed."""

    where: str
    found: str
    advice: str
    damaged: bool = False
    litter: tuple[Path, ...] = ()


def inspect(root: Path) -> list[Finding]:
    """Return what is wrong in a results folder, and what is unfinished; nothing is changed, no link followed.

    Raises InputError for a folder that holds no results.
    """
    root_folder.check(root, create=False)
    runs = (root / root_folder.RUNS).resolve()
    found = [
        Finding(path.name, "being written, or left by a killed process", "remove it when nothing runs here")
        for path in sorted(root.glob(f".*{SUFFIX}"))
    ]
    for path in sorted(runs.iterdir()) if runs.is_dir() else []:
        if path.is_symlink() or not path.is_dir():
            found.append(Finding(path.name, "a link or a file, not the folder of a run", ELSEWHERE))
        elif path.name.startswith(FORGOTTEN):
            found.append(Finding(path.name, "a removal was cut off", REPAIR, litter=(path,)))
        elif not NAME.fullmatch(path.name):
            found.append(Finding(path.name, "not the folder of a run", ELSEWHERE))
        else:
            found.extend(_of_run(runs, path.name))
    return found


def repair(root: Path, findings: list[Finding]) -> list[Path]:
    """Remove the litter of runs that no process is training; return what was removed."""
    removed: list[Path] = []
    runs = (root / root_folder.RUNS).resolve()
    for finding in findings:
        if finding.where.startswith(FORGOTTEN):
            for path in finding.litter:
                shutil.rmtree(path, ignore_errors=True)
                removed.append(path)
        elif finding.litter:
            with contextlib.suppress(RunTakenError):
                removed += _clear(runs / finding.where, finding.litter)
    return removed


def _clear(folder: Path, litter: tuple[Path, ...]) -> list[Path]:
    there = [path for path in litter if path.exists() or path.is_symlink()]
    lease.take(folder)  # whoever is not training it now can't begin to before we are done
    try:
        for path in there:
            path.unlink(missing_ok=True)
    finally:
        lease.give_back(folder)
    return there


def _of_run(runs: Path, run_id: str) -> Iterator[Finding]:
    try:
        folder = RunFolder(runs, run_id)
        current = lease.read(folder.path)
        if current is not None and not lease.is_provably_dead(current):
            yield _held(folder, current)
            return  # it is being written: nothing in it can be judged
        yield from _files(folder)
        litter = tuple(_litter(folder, current))
    except (RunError, OSError) as fault:
        yield Finding(run_id, str(fault), MEND, damaged=True)
        return
    if litter:
        names = ", ".join(path.name for path in litter)
        yield Finding(run_id, f"left by a process that was killed: {names}", REPAIR, litter=litter)


def _held(folder: RunFolder, current: lease.Lease) -> Finding:
    holder = current.holder
    who = f"process {holder.pid} on {holder.host.split()[0]}" if holder else "another process"
    seems = "trained" if lease.is_held(folder.path) else "held, but without a sign of life,"
    return Finding(folder.run_id, f"{seems} by {who}", "nothing; what is dead is taken over by the next run")


def _files(folder: RunFolder) -> Iterator[Finding]:
    """Look at each file of a run: at its sum where the run is over, else at what the file says of itself."""
    over = False
    try:
        run = folder.stored_run()
        if run is None and folder.has(SPEC):
            folder.spec()
            folder.epochs()
            folder.scores()
    except RunError as fault:
        yield Finding(folder.run_id, str(fault), MEND, damaged=True)
    else:
        over = run is not None and run.record.status in FINISHED
        if over:
            yield from _against_sums(folder)
        elif not folder.has(SPEC):
            yield Finding(folder.run_id, "no spec.json: a run that was never begun", MEND)
        elif run is None:
            yield Finding(folder.run_id, "not finished", "the same command goes on with it")
    yield from _checkpoints(folder, AGAIN if over else MEND)
    for path in folder.grids().values():
        if not is_sound(path):
            yield Finding(folder.run_id, f"{path}: no picture any more", AGAIN, damaged=True)


def _against_sums(folder: RunFolder) -> Iterator[Finding]:
    if not folder.has(sums.SUMS):
        yield Finding(folder.run_id, f"no {sums.SUMS}: whether its files have changed can't be told", AGAIN)
        return
    for name, fault in sums.faults(folder):
        yield Finding(folder.run_id, fault, MEND if name in sums.READ else AGAIN, damaged=True)
    for name in sums.orphans(folder):
        yield Finding(folder.run_id, f"{folder.path / name}: not of this run", ELSEWHERE)


def _checkpoints(folder: RunFolder, advice: str) -> Iterator[Finding]:
    for name in (CHECKPOINT, BEST):
        faults: list[str] = []
        pairs.load(folder, name, faults.append)
        if folder.has(f"{name}.safetensors") and not folder.has(f"{name}.json"):
            faults.append(f"{folder.path / name}.safetensors: what belongs to it is missing")
        if faults:
            yield Finding(folder.run_id, "; ".join(faults), advice, damaged=True)


def _litter(folder: RunFolder, current: lease.Lease | None) -> Iterator[Path]:
    """Yield what writers that are gone left beside their files: a rename that never came makes it unfinished."""
    yield from sorted(path for path, _ in left_beside(folder.path))
    if current is not None:
        yield current.path
    with contextlib.suppress(RunError):
        record = folder.record()
        if record is not None and record.status in FINISHED:
            yield from pairs.spares(folder, CHECKPOINT)
