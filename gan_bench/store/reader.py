"""What is in a results folder, for the report, for sampling, and for who asks what is left. Nothing is changed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

from gan_bench.errors import InputError, RunError
from gan_bench.record import Checkpoint, RunRecord, StoredRun, Which
from gan_bench.registry import NAME
from gan_bench.spec import RunSpec
from gan_bench.store import checkpoint as pairs
from gan_bench.store import lease, root_folder, sums
from gan_bench.store.folder import BEST, CHECKPOINT, RECORD, SPEC, RunFolder

FINISHED = ("done", "diverged")
_log = logging.getLogger(__name__)


class Reader:
    """The runs of a results folder; what is damaged is told to `notify` in one line and passed over."""

    def __init__(self, root: Path, notify: Callable[[str], None] = _log.warning) -> None:
        self.root = root
        self.notify = notify
        self._runs = (root / root_folder.RUNS).resolve()

    def outcome(self, spec: RunSpec) -> RunRecord | None:
        """Return the record of a run, whatever its status; None if it has none, or one that can't be relied on."""
        try:
            folder = self._folder(spec)
            record = folder.record()
            if record is None or folder.spec() != spec:
                return None
            _check_sums(folder, record)
            return record
        except RunError as fault:
            self.notify(str(fault))
            return None

    def is_finished(self, spec: RunSpec) -> bool:
        """Say whether the run is done or diverged; a failed run isn't: it has no result and is tried again."""
        record = self.outcome(spec)
        return record is not None and record.status in FINISHED

    def is_running(self, spec: RunSpec) -> bool:
        """Say whether some process is training the run at this moment."""
        return lease.is_held(self._folder(spec).path)

    def lanes_begun(self, spec: RunSpec) -> int | None:
        """Return with how many lanes a run was begun that has a checkpoint and no result; else None."""
        folder = self._folder(spec)
        try:
            lanes = folder.environment().get("lanes") if folder.has(CHECKPOINT) else None
        except RunError:  # whoever goes on with the run will say so
            return None
        return lanes if isinstance(lanes, int) and lanes > 0 and not self.is_finished(spec) else None

    def runs(self) -> list[StoredRun]:
        """Return every run that has an outcome, by run id; a folder that can't be read is told and passed over."""
        found: list[StoredRun] = []
        for run_id in self._run_ids():
            try:
                run = _read(RunFolder(self._runs, run_id))
            except RunError as fault:
                self.notify(f"{fault}; this run is left out (the command that made it mends it)")
                continue
            if run:
                found.append(run)
        return found

    def unfinished(self) -> list[RunSpec]:
        """Return the specs of the runs that were begun and have no outcome yet, by run id."""
        found: list[RunSpec] = []
        for run_id in self._run_ids():
            try:
                folder = RunFolder(self._runs, run_id)
                if folder.has(SPEC) and folder.record() is None:
                    found.append(folder.spec())
            except RunError as fault:
                if not folder.has(RECORD):  # else `runs` tells
                    self.notify(str(fault))
        return found

    def find(self, text: str) -> StoredRun:
        """Return the one run whose id, or whose hash, begins with `text`; raise InputError for none or several."""
        run_id = root_folder.match(self.root, list(self._run_ids()), text)
        try:
            run = _read(RunFolder(self._runs, run_id))
        except RunError as fault:
            raise InputError(f"run {run_id} can't be read: {fault}; the command that made it mends it") from fault
        if run is None:
            raise InputError(f"run {run_id} has no result yet: finish it with the command that began it")
        return run

    def weights(self, spec: RunSpec, which: Which = "last") -> Checkpoint | None:
        """Return a run's last or best checkpoint to draw from, or None; nothing is changed."""
        return pairs.load(self._folder(spec), CHECKPOINT if which == "last" else BEST, self.notify)

    def _folder(self, spec: RunSpec) -> RunFolder:
        return RunFolder(self._runs, spec.run_id)

    def _run_ids(self) -> Iterator[str]:
        if self._runs.is_dir():
            yield from sorted(p.name for p in self._runs.iterdir() if NAME.fullmatch(p.name) and p.is_dir())


def _read(folder: RunFolder) -> StoredRun | None:
    run = folder.stored_run()
    if run is not None:
        _check_sums(folder, run.record)
    return run


def _check_sums(folder: RunFolder, record: RunRecord) -> None:
    """Raise RunError if a run with a result is not what it was when it ended; a failed one may be begun again."""
    if record.status in FINISHED:
        sums.check(folder)
