"""Reading a results folder: for reports, sampling, status and planning. Nothing is changed."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

from gan_bench.core.errors import InputError, RunError
from gan_bench.core.events import Event, Notice, OnEvent
from gan_bench.core.records import Checkpoint, RunRecord, Score, StoredRun, WhichCheckpoint
from gan_bench.core.registry import NAME
from gan_bench.core.training_spec import TrainingSpec
from gan_bench.store import checkpoints, checksums, leases, results_folder
from gan_bench.store.run_folder import BEST, CHECKPOINT, RECORD, SPEC, RunFolder

TRAINED = ("done", "diverged")
"""Statuses of runs with a result; a failed run has none, and is trained again."""
_log = logging.getLogger(__name__)


def log_notices(event: Event) -> None:
    """Log notices as warnings: the default listener of a store."""
    if isinstance(event, Notice):
        _log.warning(event.text)


class Reader:
    """The runs of a results folder. Damaged runs are skipped, each with one notice."""

    def __init__(self, root: Path, on_event: OnEvent = log_notices) -> None:
        self.root = root
        self.on_event = on_event
        self._runs = (root / results_folder.RUNS).resolve()

    def outcome(self, spec: TrainingSpec) -> RunRecord | None:
        """Return a run's record, whatever its status; None if it has none, or a damaged one."""
        try:
            folder = self._folder(spec)
            record = folder.record()
            if record is None or folder.spec() != spec:
                return None
            _check_sums(folder, record)
            return record
        except RunError as fault:
            self.notice(str(fault))
            return None

    def is_trained(self, spec: TrainingSpec) -> bool:
        """Return whether the run is done or diverged; a failed run has no result and is trained again."""
        record = self.outcome(spec)
        return record is not None and record.status in TRAINED

    def is_running(self, spec: TrainingSpec) -> bool:
        """Return whether some process is working on the run."""
        return leases.is_held(self._folder(spec).path)

    def scores(self, spec: TrainingSpec) -> Sequence[Score]:
        """Return a run's scores; none where they can't be read."""
        try:
            return self._folder(spec).scores()
        except RunError as fault:
            self.notice(str(fault))
            return []

    def started_lanes(self, spec: TrainingSpec) -> int | None:
        """Return the number of lanes of an unfinished run with a checkpoint; None for any other run."""
        folder = self._folder(spec)
        try:
            lanes = folder.environment().get("lanes") if checkpoints.exists(folder, CHECKPOINT) else None
        except RunError:  # reported when the run is resumed
            return None
        return lanes if isinstance(lanes, int) and lanes > 0 and not self.is_trained(spec) else None

    def runs(self) -> list[StoredRun]:
        """Return every run that has an outcome, by run id."""
        found: list[StoredRun] = []
        for run_id in self._run_ids():
            try:
                run = _read(RunFolder(self._runs, run_id))
            except RunError as fault:
                self.notice(f"{fault}; the run is skipped (the command that trained it repairs it)")
                continue
            if run:
                found.append(run)
        return found

    def unfinished(self) -> list[TrainingSpec]:
        """Return the specs of the runs that have no outcome yet, by run id."""
        found: list[TrainingSpec] = []
        for run_id in self._run_ids():
            try:
                folder = RunFolder(self._runs, run_id)
                if folder.has(SPEC) and folder.record() is None:
                    found.append(folder.spec())
            except RunError as fault:
                if not folder.has(RECORD):  # otherwise `runs` reports it
                    self.notice(str(fault))
        return found

    def find(self, text: str) -> StoredRun:
        """Return the one run whose id or hash starts with `text`; raise InputError for none or several."""
        run_id = results_folder.match(self.root, list(self._run_ids()), text)
        try:
            run = _read(RunFolder(self._runs, run_id))
        except RunError as fault:
            raise InputError(
                f"run {run_id} can't be read: {fault}; the command that trained it repairs it"
            ) from fault
        if run is None:
            raise InputError(f"run {run_id} has no result yet: finish it with the command that started it")
        return run

    def weights(self, spec: TrainingSpec, which: WhichCheckpoint = "last") -> Checkpoint | None:
        """Return a run's last or best checkpoint, or None."""
        return checkpoints.load(self._folder(spec), CHECKPOINT if which == "last" else BEST, self.on_event)

    def notice(self, text: str) -> None:
        """Emit a notice."""
        self.on_event(Notice(text))

    def _folder(self, spec: TrainingSpec) -> RunFolder:
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
    """Raise RunError if a trained run was changed; a failed one may be in training again."""
    if record.status in TRAINED:
        checksums.check(folder)
