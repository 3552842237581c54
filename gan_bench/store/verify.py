"""Verification of a results folder: damaged files, unfinished runs, leases, leftovers; removal of leftovers."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gan_bench.core.errors import RunError, RunTakenError
from gan_bench.core.events import Event, Notice
from gan_bench.core.files import SUFFIX, leftovers, remove_temporary, temporary_files
from gan_bench.core.images import is_valid_image
from gan_bench.core.reading import entries
from gan_bench.core.registry import NAME
from gan_bench.store import checkpoints, checksums, leases, results_folder
from gan_bench.store.reader import TRAINED, read_outcome
from gan_bench.store.run_folder import BEST, CHECKPOINT, SPEC, RunFolder

REMOVED = ".forgotten-"
REPORT, PLOTS = "report", "plots"
REPORT_AGAIN = "--repair removes it, and so does the next report"
RERUN = "the command that trained it resumes from its checkpoint, or starts over"
REPAIR = "--repair removes it"
ELSEWHERE = "move it elsewhere"
RETRAIN = "train it again, if that matters: the same command with --fresh"


@dataclass(frozen=True)
class Finding:
    """One problem in a results folder; `leftovers` are files that are never read and may be removed."""

    where: str
    found: str
    advice: str
    damaged: bool = False
    leftovers: tuple[Path, ...] = ()


def inspect(root: Path) -> list[Finding]:
    """Return the problems of a results folder and its unfinished runs; nothing is changed, no link followed.

    Raises InputError for a folder that holds no results.
    """
    results_folder.check(root, create=False)
    runs = (root / results_folder.RUNS).resolve()
    found = [
        Finding(path.name, "being written, or left by a killed process", "remove it when nothing is running here")
        for path in sorted(root.glob(f".*{SUFFIX}"))
    ]
    for folder in (root / REPORT, root / REPORT / PLOTS):
        if paths := tuple(leftovers(folder)):
            names = ", ".join(path.name for path in paths)
            where = folder.relative_to(root).as_posix()
            found.append(Finding(where, f"left by a killed report: {names}", REPORT_AGAIN, leftovers=paths))
    for entry in entries(runs):
        path = runs / entry.name
        if not entry.is_dir(follow_symlinks=False):
            found.append(Finding(path.name, "a link or a file, not the folder of a run", ELSEWHERE))
        elif path.name.startswith(REMOVED):
            found.append(Finding(path.name, "an interrupted removal", REPAIR, leftovers=(path,)))
        elif not NAME.fullmatch(path.name):
            found.append(Finding(path.name, "not the folder of a run", ELSEWHERE))
        else:
            found.extend(_of_run(runs, path.name))
    return found


def repair(root: Path, findings: list[Finding]) -> list[Path]:
    """Remove the leftovers of runs that no process holds; return the removed paths."""
    removed: list[Path] = []
    runs = (root / results_folder.RUNS).resolve()
    for finding in findings:
        if finding.advice == REPORT_AGAIN:
            for folder in {path.parent for path in finding.leftovers}:
                removed += remove_temporary(folder)
        elif finding.where.startswith(REMOVED):
            for path in finding.leftovers:
                shutil.rmtree(path, ignore_errors=True)
                removed.append(path)
        elif finding.leftovers:
            with contextlib.suppress(RunTakenError):
                removed += _clear(runs / finding.where, finding.leftovers)
    return removed


def _clear(folder: Path, leftovers: tuple[Path, ...]) -> list[Path]:
    existing = [path for path in leftovers if path.exists() or path.is_symlink()]
    leases.take(folder)  # no process can start this run before the removal is done
    try:
        for path in existing:
            path.unlink(missing_ok=True)
    finally:
        leases.release(folder)
    return existing


def _of_run(runs: Path, run_id: str) -> Iterator[Finding]:
    try:
        folder = RunFolder(runs, run_id)
        current = leases.read(folder.path)
        if current is not None and not leases.is_provably_dead(current):
            yield _held(folder, current)
            return  # it is being written, so it can't be judged
        yield from _files(folder)
        leftovers = tuple(_leftovers(folder, current))
    except (RunError, OSError) as fault:
        yield Finding(run_id, str(fault), RERUN, damaged=True)
        return
    if leftovers:
        names = ", ".join(path.name for path in leftovers)
        yield Finding(run_id, f"left by a process that was killed: {names}", REPAIR, leftovers=leftovers)


def _held(folder: RunFolder, current: leases.Lease) -> Finding:
    holder = current.holder
    who = f"process {holder.pid} on {holder.host.split()[0]}" if holder else "another process"
    state = "in progress" if leases.is_held(folder.path) else "held, but without a heartbeat,"
    return Finding(folder.run_id, f"{state} by {who}", "nothing; the next run takes over from a dead process")


def _files(folder: RunFolder) -> Iterator[Finding]:
    """Check each file of a run: its checksum where the run is trained, else the file's own consistency."""
    trained = False
    try:
        found = read_outcome(folder)
        if found:
            folder.parse(*found)
        elif folder.has(SPEC):
            folder.spec()
            folder.epochs()
            folder.scores()
    except RunError as fault:
        yield from _of_damaged(folder, fault)
    else:
        trained = found is not None and found[1].status in TRAINED
        if trained:
            yield from _against_checksums(folder)
        elif not folder.has(SPEC):
            yield Finding(folder.run_id, "no spec.json: a run that was never started", RERUN)
        elif found is None:
            yield Finding(folder.run_id, "not finished", "the command that started it resumes it")
    yield from _checkpoints(folder, RETRAIN if trained else RERUN)
    for path in folder.grids().values():
        if not is_valid_image(path, root=folder.runs):
            yield Finding(folder.run_id, f"{path}: damaged image", RETRAIN, damaged=True)


def _of_damaged(folder: RunFolder, fault: RunError) -> Iterator[Finding]:
    """Yield every file of a damaged run that does not match its checksum, or else the fault that was met first."""
    found = list(_sum_faults(folder))
    if str(fault) not in [text for _, text in found]:
        yield Finding(folder.run_id, str(fault), RERUN, damaged=True)
        return
    for name, text in found:
        yield Finding(folder.run_id, text, RERUN if name in checksums.READ else RETRAIN, damaged=True)


def _sum_faults(folder: RunFolder) -> Iterator[tuple[str, str]]:
    with contextlib.suppress(RunError):
        yield from checksums.faults(folder)


def _against_checksums(folder: RunFolder) -> Iterator[Finding]:
    if not folder.has(checksums.SUMS):
        yield Finding(folder.run_id, f"no {checksums.SUMS}: its files can't be verified", RETRAIN)
        return
    for name, fault in checksums.faults(folder):
        yield Finding(folder.run_id, fault, RERUN if name in checksums.READ else RETRAIN, damaged=True)
    for name in checksums.orphans(folder):
        yield Finding(folder.run_id, f"{folder.path / name}: not part of this run", ELSEWHERE)


def _checkpoints(folder: RunFolder, advice: str) -> Iterator[Finding]:
    for name in (CHECKPOINT, BEST):
        faults: list[str] = []

        def collect(event: Event, faults: list[str] = faults) -> None:
            if isinstance(event, Notice):
                faults.append(event.text)

        checkpoints.load(folder, name, collect)
        if folder.has(f"{name}.safetensors") and not folder.has(f"{name}.json"):
            faults.append(f"{folder.path / name}.safetensors: its JSON is missing")
        if faults:
            yield Finding(folder.run_id, "; ".join(faults), advice, damaged=True)


def _leftovers(folder: RunFolder, current: leases.Lease | None) -> Iterator[Path]:
    """Yield the temporary files of processes that died before their rename, dead leases and spare checkpoints."""
    yield from sorted(path for path, _ in temporary_files(folder.path))
    if current is not None:
        yield current.path
    with contextlib.suppress(RunError):
        record = folder.record()
        if record is not None and record.status in TRAINED:
            yield from checkpoints.spares(folder, CHECKPOINT)
