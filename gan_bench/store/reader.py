"""Reading a results folder: for reports, sampling, status and planning. Nothing is changed."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gan_bench.core.errors import InputError, ReadError, RunError, printable
from gan_bench.core.events import Event, Notice, OnEvent
from gan_bench.core.limits import MAX_FOLDER_BYTES
from gan_bench.core.reading import entries, size_text
from gan_bench.core.records import Checkpoint, LeftOut, RunRecord, Score, StoredRun, WhichCheckpoint
from gan_bench.core.registry import NAME
from gan_bench.core.training_spec import TrainingSpec
from gan_bench.store import checkpoints, checksums, leases, results_folder
from gan_bench.store.run_folder import BEST, CHECKPOINT, ENVIRONMENT, SPEC, RunFolder, attempt_of

TRAINED = ("done", "diverged")
"""Statuses of runs with a result; a failed run has none, and is trained again."""
_log = logging.getLogger(__name__)


def log_notices(event: Event) -> None:
    """Log notices as warnings: the default listener of a store."""
    if isinstance(event, Notice):
        _log.warning(printable(event.text))


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
            found = read_outcome(folder)
            if found is None or folder.parse_spec(found[0][SPEC]) != spec:
                return None
            return found[1]
        except RunError as fault:
            self.notice(str(fault))
            return None

    def is_trained(self, spec: TrainingSpec) -> bool:
        """Return whether the run is done or diverged; a failed run has no result and is trained again."""
        record = self.outcome(spec)
        return record is not None and record.status in TRAINED

    def is_expected(self, spec: TrainingSpec) -> bool:
        """Return whether the run's folder contains a spec, readable or not."""
        return self._folder(spec).has(SPEC)

    def is_running(self, spec: TrainingSpec) -> bool:
        """Return whether some process is working on the run; not where that can't be read."""
        try:
            return leases.is_held(self._folder(spec).path)
        except RunError as fault:
            self.notice(str(fault))
            return False

    def scores(self, spec: TrainingSpec) -> Sequence[Score]:
        """Return a run's scores; none where they can't be read."""
        try:
            return self._folder(spec).scores()
        except RunError as fault:
            self.notice(str(fault))
            return []

    def environment(self, spec: TrainingSpec) -> Mapping[str, Any]:
        """Return the environment of a run's last attempt; empty where it can't be read."""
        try:
            return self._folder(spec).environment()
        except RunError as fault:
            self.notice(str(fault))
            return {}

    def started_lanes(self, spec: TrainingSpec) -> int | None:
        """Return the number of lanes of an unfinished run with a checkpoint; None for any other run."""
        folder = self._folder(spec)
        try:
            lanes = folder.environment().get("lanes") if checkpoints.exists(folder, CHECKPOINT) else None
        except RunError:  # reported when the run is resumed
            return None
        return lanes if isinstance(lanes, int) and lanes > 0 and not self.is_trained(spec) else None

    def scan(self) -> Iterator[StoredRun | TrainingSpec | LeftOut]:
        """Yield every run by run id: one with an outcome, the spec of one without, or why a run is left out."""
        left = MAX_FOLDER_BYTES
        for run_id in self._run_ids():
            try:
                folder = RunFolder(self._runs, run_id)
                found = read_outcome(folder)
                left -= sum(map(len, found[0].values())) if found else 0
                if left < 0:
                    raise ReadError(
                        f"{folder.path}: the folder's runs have more than {size_text(MAX_FOLDER_BYTES)}"
                    )
                if found:
                    yield folder.parse(*found)
                elif folder.has(SPEC):
                    yield folder.spec()
            except RunError as fault:
                yield LeftOut(run_id, str(fault))

    def runs(self) -> list[StoredRun]:
        """Return every run that has an outcome, by run id; emit a notice for each one that is left out."""
        return [run for run in self._scan_with_notices() if isinstance(run, StoredRun)]

    def unfinished(self) -> list[TrainingSpec]:
        """Return the specs of the runs that have no outcome yet, by run id."""
        return [spec for spec in self.scan() if isinstance(spec, TrainingSpec)]

    def find(self, text: str) -> StoredRun:
        """Return the one run whose id or hash starts with `text`; raise InputError for none or several."""
        run_id = results_folder.match(self.root, list(self._run_ids()), text)
        try:
            folder = RunFolder(self._runs, run_id)
            found = read_outcome(folder)
            run = folder.parse(*found) if found else None
        except RunError as fault:
            raise InputError(
                f"run {run_id} can't be read: {fault}; the command that trained it repairs it"
            ) from fault
        if run is None:
            raise InputError(f"run {run_id} has no result yet: finish it with the command that started it")
        return run

    def spec(self, run_id: str) -> TrainingSpec:
        """Return the spec of a run, finished or not; raise ReadError where there is none that can be read."""
        return RunFolder(self._runs, run_id).spec()

    def weights(self, spec: TrainingSpec, which: WhichCheckpoint = "last") -> Checkpoint | None:
        """Return a run's last or best checkpoint, or None."""
        return checkpoints.load(self._folder(spec), CHECKPOINT if which == "last" else BEST, self.on_event)

    def notice(self, text: str) -> None:
        """Emit a notice."""
        self.on_event(Notice(text))

    def notice_left_out(self, run: LeftOut) -> None:
        """Emit the notice of a run that is left out."""
        self.notice(f"{run.reason}; the run is left out (the command that trained it repairs it)")

    def _scan_with_notices(self) -> Iterator[StoredRun | TrainingSpec]:
        for run in self.scan():
            if isinstance(run, LeftOut):
                self.notice_left_out(run)
            else:
                yield run

    def _folder(self, spec: TrainingSpec) -> RunFolder:
        return RunFolder(self._runs, spec.run_id)

    def _run_ids(self) -> Iterator[str]:
        try:
            found = entries(self._runs)
        except ReadError as fault:
            raise InputError(f"results folder {self.root}: {fault}") from fault
        for entry in found:
            if NAME.fullmatch(entry.name) and (entry.is_dir(follow_symlinks=False) or entry.is_symlink()):
                yield entry.name


def read_outcome(folder: RunFolder) -> tuple[dict[str, bytes], RunRecord] | None:
    """Return the contents of a run's files, which match their checksums, and its record; None without one."""
    found = checksums.read(folder)
    if found is None:
        return None
    contents, record = found
    environment = folder.parse_environment(contents[ENVIRONMENT]) if ENVIRONMENT in contents else {}
    if SPEC not in contents:
        raise ReadError(f"{folder.path / SPEC}: is missing")
    return found if record.attempts >= attempt_of(environment) else None
