"""The store: a results folder, which takes what the pipeline reports and gives back what the report needs."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gan_bench.errors import InputError, RunError, RunTakenError
from gan_bench.record import Checkpoint, EpochRecord, RunRecord, Score, StoredRun, Which
from gan_bench.registry import NAME
from gan_bench.spec import RunSpec
from gan_bench.store import checkpoint as pairs
from gan_bench.store import history, lease, root_folder
from gan_bench.store.atomic import refused, sweep, write_bytes, write_json
from gan_bench.store.attempts import ATTEMPT, caveat, joined
from gan_bench.store.folder import BEST, CHECKPOINT, ENVIRONMENT, PROGRESS_GIF, REAL_PNG, RECORD, SPEC, RunFolder
from gan_bench.store.pictures import gif, png

if TYPE_CHECKING:
    from gan_bench.record import Images

FINISHED = ("done", "diverged")
_log = logging.getLogger(__name__)


class Store:
    """A results folder, open; implements `gan_bench.record.RunSink`.

    What is damaged is told to `notify` in one line and passed over. Writes raise RunError when the disk refuses.
    """

    def __init__(self, root: Path, notify: Callable[[str], None] = _log.warning) -> None:
        self.root = root
        self.notify = notify
        self._runs = (root / root_folder.RUNS).resolve()

    @classmethod
    def open(cls, root: Path, *, create: bool, notify: Callable[[str], None] = _log.warning) -> Store:
        """Open the results folder `root`; with `create`, make and mark it where it isn't there yet.

        Raises InputError for a path that is no folder, can't be written to, holds no results, or was written by
        a newer gan_bench. Without `create` nothing is written, so that other people's results can be read.
        """
        root_folder.check(root, create=create)
        return cls(root, notify)

    # What there is

    def outcome(self, spec: RunSpec) -> RunRecord | None:
        """Return the record of a run, whatever its status; None if it has none that can be read."""
        try:
            folder = self._folder(spec)
            record = folder.record()
            return record if record and folder.spec() == spec else None
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

    def runs(self) -> list[StoredRun]:
        """Return every run that has an outcome, by run id; a folder that can't be read is told and passed over."""
        found: list[StoredRun] = []
        for run_id in self._run_ids():
            try:
                run = RunFolder(self._runs, run_id).stored_run()
            except RunError as fault:
                self.notify(f"{fault}; this run is left out (train it anew with --fresh)")
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
                if folder.has(SPEC) and not folder.has(RECORD):
                    found.append(folder.spec())
            except RunError as fault:
                self.notify(str(fault))
        return found

    def find(self, text: str) -> StoredRun:
        """Return the one run whose id, or whose hash, begins with `text`; raise InputError for none or several."""
        run_id = root_folder.match(self.root, list(self._run_ids()), text)
        try:
            run = RunFolder(self._runs, run_id).stored_run()
        except RunError as fault:
            raise InputError(f"run {run_id} can't be read: {fault}; train it anew with --fresh") from fault
        if run is None:
            raise InputError(f"run {run_id} has no result yet: finish it with the command that began it")
        return run

    def weights(self, spec: RunSpec, which: Which = "last") -> Checkpoint | None:
        """Return a run's last or best checkpoint to draw from, or None; nothing is changed."""
        return pairs.load(self._folder(spec), CHECKPOINT if which == "last" else BEST, self.notify)

    # What is done to a run as a whole

    def expect(self, specs: Sequence[RunSpec]) -> None:
        """Write down runs that are about to be made (spec.json only), so that others see what is left."""
        for spec in specs:
            folder = self._folder(spec)
            if not folder.has(SPEC):
                _make_folder(folder.path)
                write_json(folder.file(SPEC), spec.model_dump(mode="json"))

    def forget(self, spec: RunSpec) -> None:
        """Remove a run's folder, for good."""
        folder = self._folder(spec).path
        if not folder.exists():
            return
        lease.take(folder)
        gone = folder.with_name(f".forgotten-{spec.run_id}")
        try:
            # Renamed first: a kill in the middle of the removal must not leave half a run.
            shutil.rmtree(gone, ignore_errors=True)
            folder.rename(gone)
            shutil.rmtree(gone)
        except OSError as error:
            raise refused(folder, error) from error
        finally:
            lease.give_back(folder)

    def failed_with(self, spec: RunSpec, reason: str, log: str = "", *, lanes: int = 1) -> RunRecord:
        """Record that a run's process died; a run that already has its outcome keeps it. Returns the outcome.

        `log` is the tail of what the process printed. Raises RunTakenError if another process trains the run, and
        RunError if the folder holds another run's spec.
        """
        folder = self._folder(spec)
        known = self.outcome(spec)
        if known:
            return known
        if not folder.has(SPEC):
            self.begin(spec, {})
        lease.take(folder.path)  # from the dead process, whose lease goes with this one
        folder.spec()
        epochs = _readable_epochs(folder)
        record = RunRecord(
            run_id=spec.run_id,
            status="failed",
            reason=reason,
            log_tail=log,
            lanes=lanes,
            attempts=max(1, _attempts(folder)),
            steps=epochs[-1].step if epochs else 0,
            epochs=epochs[-1].epoch if epochs else 0,
            train_seconds=sum(epoch.epoch_seconds for epoch in epochs),
            finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        self.finish(spec, record)
        return record

    # RunSink: what a run reports on its way

    def claim(self, spec: RunSpec) -> bool:
        """Take a run for this process; False where another process trains it, or it has its result already."""
        folder = self._folder(spec)
        if self.is_finished(spec):
            return False
        _make_folder(folder.path)
        try:
            lease.take(folder.path)
        except RunTakenError:
            return False
        if self.is_finished(spec):  # between the two questions
            lease.give_back(folder.path)
            return False
        return True

    def release(self, spec: RunSpec) -> None:
        """Let others have a run that was claimed; nothing happens if it isn't this process's."""
        lease.give_back(self._folder(spec).path)

    def resume(self, spec: RunSpec) -> Checkpoint | None:
        """Return the newest intact checkpoint of a run that isn't finished, or None for a start from nothing.

        Whatever was recorded after the checkpoint's `step` is dropped, the best weights too, so that a run goes
        on as if it had never gone further.
        """
        folder = self._folder(spec)
        if not folder.path.is_dir() or self.is_finished(spec):
            return None
        lease.take(folder.path)
        sweep(folder.path)
        sweep(folder.samples)
        found = pairs.restore(folder, CHECKPOINT, self.notify)
        if found:
            step, epoch = int(found.state.get("step", 0)), int(found.state.get("epoch", 0))
            try:
                history.cut(folder, step, epoch)
                pairs.restore(folder, BEST, self.notify, up_to=step)
                return found
            except RunError as fault:
                self.notify(f"{fault}; {spec.run_id} starts over")
        history.clear(folder)
        pairs.remove(folder, CHECKPOINT)
        pairs.remove(folder, BEST)
        return None

    def begin(self, spec: RunSpec, environment: Mapping[str, Any]) -> int:
        """Make the run's folder, with spec.json and environment.json; return the attempt's number, from 1.

        Raises RunError if the run is finished, if another process is training it, or if the folder holds
        another run's spec. A failed attempt's record is removed.
        """
        if self.is_finished(spec):
            raise RunError(f"{spec.run_id}: it is finished; --fresh trains it anew")
        folder = self._folder(spec)
        _make_folder(folder.samples)
        lease.take(folder.path)
        if folder.has(SPEC) and folder.spec() != spec:
            raise RunError(f"{folder.path}: holds another run's spec; remove that folder")
        attempt = _attempts(folder) + 1
        if not folder.has(SPEC):
            write_json(folder.file(SPEC), spec.model_dump(mode="json"))
        write_json(folder.file(ENVIRONMENT), joined(_readable_environment(folder), environment, attempt))
        folder.file(RECORD).unlink(missing_ok=True)
        return attempt

    def add_epoch(self, spec: RunSpec, epoch: EpochRecord) -> None:
        """Append to epochs.csv; a line of the same epoch is replaced."""
        history.add_epoch(self._mine(spec), epoch)

    def add_scores(self, spec: RunSpec, scores: Sequence[Score]) -> None:
        """Append to scores.json; the same metric of the same protocol, step and checkpoint is replaced."""
        history.add_scores(self._mine(spec), scores)

    def add_grid(self, spec: RunSpec, epoch: int, grid: Images) -> None:
        """Write samples/epoch_NNNN.png from uint8 [H, W] or [H, W, 3]."""
        write_bytes(self._mine(spec).grid(epoch), png(grid))

    def add_real_grid(self, spec: RunSpec, grid: Images) -> None:
        """Write samples/real.png from uint8 [H, W] or [H, W, 3]."""
        write_bytes(self._mine(spec).samples / REAL_PNG, png(grid))

    def checkpoint(self, spec: RunSpec, checkpoint: Checkpoint) -> None:
        """Replace the run's checkpoint, after all that belongs to its step; the one before stays as a spare."""
        pairs.save(self._mine(spec), CHECKPOINT, checkpoint)

    def keep_best(self, spec: RunSpec, checkpoint: Checkpoint) -> None:
        """Replace the run's best checkpoint; its `state` names the step that it is of."""
        pairs.save(self._mine(spec), BEST, checkpoint)

    def finish(self, spec: RunSpec, record: RunRecord) -> None:
        """Write progress.gif and then record.json, last."""
        if record.run_id != spec.run_id:
            raise ValueError(f"the record is of {record.run_id}, the spec of {spec.run_id}")
        folder = self._mine(spec)
        grids = list(folder.grids().values())
        if grids:
            try:
                write_bytes(folder.samples / PROGRESS_GIF, gif(grids))
            except (OSError, SyntaxError, ValueError) as fault:
                self.notify(f"{folder.samples}: no {PROGRESS_GIF}, a picture is damaged ({fault})")
        lease.check(folder.path)  # again: the film may have taken long
        record = record.model_copy(update={"caveat": caveat(_readable_environment(folder))})
        write_json(folder.file(RECORD), record.model_dump())
        if record.status in FINISHED:
            pairs.drop_previous(folder, CHECKPOINT)
            pairs.drop_previous(folder, BEST)
        lease.give_back(folder.path)

    def _mine(self, spec: RunSpec) -> RunFolder:
        """Return a run's folder to write into; RunTakenError if another process has taken the run over."""
        folder = self._folder(spec)
        lease.check(folder.path)
        return folder

    def _folder(self, spec: RunSpec) -> RunFolder:
        return RunFolder(self._runs, spec.run_id)

    def _run_ids(self) -> Iterator[str]:
        if self._runs.is_dir():
            yield from sorted(p.name for p in self._runs.iterdir() if NAME.fullmatch(p.name) and p.is_dir())


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise refused(path, error) from error


def _attempts(folder: RunFolder) -> int:
    """Count the attempts so far; what can't be read doesn't stand in the way of another."""
    try:
        count = folder.environment().get(ATTEMPT, 0)
        record = folder.record()
    except RunError:
        return 0
    return max(count if isinstance(count, int) else 0, record.attempts if record else 0)


def _readable_environment(folder: RunFolder) -> Mapping[str, Any]:
    try:
        return folder.environment()
    except RunError:
        return {}


def _readable_epochs(folder: RunFolder) -> Sequence[EpochRecord]:
    try:
        return folder.epochs()
    except RunError:
        return []
