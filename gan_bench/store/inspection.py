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
from gan_bench.store import lease, root_folder
from gan_bench.store.atomic import SUFFIX
from gan_bench.store.folder import BEST, CHECKPOINT, RECORD, SPEC, RunFolder

FORGOTTEN = ".forgotten-"
FRESH = "train it anew: the same command with --fresh"
REPAIR = "--repair removes it"


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be; `litter` is what nobody will ever read, and may be removed."""

    where: str
    found: str
    advice: str
    damaged: bool = False
    litter: tuple[Path, ...] = ()


def inspect(root: Path) -> list[Finding]:
    """Return what is wrong in a results folder, and what is unfinished; nothing is changed.

    Raises InputError for a folder that holds no results.
    """
    root_folder.check(root, create=False)
    runs = (root / root_folder.RUNS).resolve()
    found: list[Finding] = []
    for path in sorted(runs.iterdir()) if runs.is_dir() else []:
        if path.name.startswith(FORGOTTEN):
            found.append(Finding(path.name, "a removal was cut off", REPAIR, litter=(path,)))
        elif not NAME.fullmatch(path.name) or not path.is_dir():
            found.append(Finding(path.name, "not the folder of a run", "move it elsewhere"))
        else:
            found.extend(_of_run(runs, path.name))
    return found


def repair(root: Path, findings: list[Finding]) -> list[Path]:
    """Remove the litter of runs that no process is training; return what was removed."""
    removed: list[Path] = []
    runs = (root / root_folder.RUNS).resolve()
    for finding in findings:
        folder = runs / finding.where
        if not finding.litter:
            continue
        if finding.where.startswith(FORGOTTEN):
            shutil.rmtree(folder, ignore_errors=True)
            removed.append(folder)
            continue
        with contextlib.suppress(RunTakenError):
            lease.take(folder)  # whoever is not training it now can't begin to before we are done
            try:
                for path in finding.litter:
                    path.unlink(missing_ok=True)
                    removed.append(path)
            finally:
                lease.give_back(folder)
    return removed


def _of_run(runs: Path, run_id: str) -> Iterator[Finding]:
    try:
        folder = RunFolder(runs, run_id)
        finished = folder.stored_run() is not None
        if not finished and folder.has(SPEC):
            folder.spec()
            folder.epochs()
            folder.scores()
    except RunError as fault:
        yield Finding(run_id, str(fault), FRESH, damaged=True)
        return
    current = lease.read(folder.path)
    held = current is not None and not lease.is_provably_dead(current)
    if held:
        holder = current.holder if current else None
        who = f"process {holder.pid} on {holder.host.split()[0]}" if holder else "another process"
        seems = "trained" if lease.is_held(folder.path) else "held, but without a sign of life,"
        yield Finding(run_id, f"{seems} by {who}", "nothing; what is dead is taken over by the next run")
        return  # it is being written: nothing in it can be judged
    yield from _checkpoints(folder, finished)
    if not folder.has(SPEC):
        yield Finding(run_id, "no spec.json: a run that was never begun", FRESH, damaged=folder.has(RECORD))
    elif not finished:
        yield Finding(run_id, "not finished", "the same command goes on with it")
    litter = tuple(_litter(folder, current))
    if litter:
        names = ", ".join(path.name for path in litter)
        yield Finding(run_id, f"left by a process that was killed: {names}", REPAIR, litter=litter)


def _checkpoints(folder: RunFolder, finished: bool) -> Iterator[Finding]:
    for name in (CHECKPOINT, BEST):
        faults: list[str] = []
        try:
            intact = pairs.load(folder, name, faults.append)
        except RunError as fault:
            intact, faults = None, [str(fault)]
        advice = FRESH if finished else "the same command goes on from the one before, or starts over"
        if faults or (intact is None and folder.has(f"{name}.safetensors")):
            told = "; ".join(faults) or f"{folder.path / name}.safetensors: what belongs to it is missing"
            yield Finding(folder.run_id, told, advice, damaged=True)


def _litter(folder: RunFolder, current: lease.Lease | None) -> Iterator[Path]:
    """Yield what writers that are gone left beside their files; a rename that never came makes it unfinished."""
    for place in (folder.path, folder.samples):
        if place.is_dir():
            yield from sorted(place.glob(f".*{SUFFIX}"))
    if current is not None:
        yield current.path
