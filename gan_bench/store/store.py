"""The store: a results folder that takes what the pipeline reports, each run of it from one process at a time."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gan_bench.errors import RunError, RunTakenError
from gan_bench.record import Checkpoint, EpochRecord, RunRecord, Score
from gan_bench.spec import RunSpec
from gan_bench.store import attempts, fence, history, lease, root_folder, sums
from gan_bench.store import checkpoint as pairs
from gan_bench.store.atomic import json_bytes, refused, write_json
from gan_bench.store.folder import (
    BEST,
    CHECKPOINT,
    ENVIRONMENT,
    PROGRESS_GIF,
    REAL_PNG,
    RECORD,
    SPEC,
    TRACE,
    RunFolder,
)
from gan_bench.store.pictures import gif, png
from gan_bench.store.reader import FINISHED, Reader

if TYPE_CHECKING:
    from gan_bench.record import Images

_log = logging.getLogger(__name__)


class Store(Reader):
    """A results folder, open; implements `gan_bench.record.RunSink`.

    Whatever is written to a run needs its lease, and takes it where this process has none: RunTakenError if
    another process has it. Writes raise RunError when the disk refuses.
    """

    @classmethod
    def open(cls, root: Path, *, create: bool, notify: Callable[[str], None] = _log.warning) -> Store:
        """Open the results folder `root`; with `create`, make and mark it where it isn't there yet.

        Raises InputError for a path that is no folder, can't be written to, holds no results, or was written by
        a newer gan_bench. Without `create` nothing is written, so that other people's results can be read.
        """
        root_folder.check(root, create=create)
        return cls(root, notify)

    # What is done to a run as a whole

    def expect(self, specs: Sequence[RunSpec]) -> None:
        """Write down runs that are about to be made (spec.json only), so that others see what is left."""
        for spec in specs:
            folder = self._folder(spec)
            if not folder.has(SPEC):
                _make_folder(folder.path)
                try:
                    write_json(folder.file(SPEC), spec.model_dump(mode="json"))
                except RunError as error:
                    if not isinstance(error.__cause__, FileNotFoundError):
                        raise  # else: cleared away by who has just begun to train it, and writes the same

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
        self._mine(spec).spec()  # from the dead process, whose lease goes with this one
        epochs = _readable_epochs(folder)
        record = RunRecord(
            run_id=spec.run_id,
            status="failed",
            reason=reason,
            log_tail=log,
            lanes=lanes,
            attempts=max(1, attempts.made(folder)),
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

        Epochs, scores and the best weights become what they were at the checkpoint, so that a run goes on as if it
        had never gone further. Pictures are drawn again.
        """
        if not self._folder(spec).path.is_dir() or self.is_finished(spec):
            return None
        folder = self._mine(spec)
        found = pairs.restore(folder, CHECKPOINT, self.notify)
        known = history.without(found) if found else None
        if known is None:
            history.clear(folder)
            pairs.discard(folder, CHECKPOINT)
            pairs.discard(folder, BEST)
            return None
        checkpoint, recorded = known
        history.restore(folder, recorded, self.notify)
        if recorded.best:
            pairs.save(folder, BEST, recorded.best, spare=False)
        else:
            pairs.discard(folder, BEST)
        return checkpoint

    def begin(self, spec: RunSpec, environment: Mapping[str, Any]) -> int:
        """Make the run's folder, with spec.json and environment.json; return the attempt's number, from 1.

        Raises RunError if the run is finished, if another process is training it, or if the folder holds
        another run's spec. The record of an earlier attempt, a failed one, doesn't count any more.
        """
        if self.is_finished(spec):
            raise RunError(f"{spec.run_id}: it is finished; --fresh trains it anew")
        _make_folder(self._folder(spec).samples)
        folder = self._mine(spec)
        found = self._readable_spec(folder)
        if found is not None and found != spec:
            raise RunError(f"{folder.path}: holds another run's spec; remove that folder")
        attempt = attempts.made(folder) + 1
        if found is None:
            fence.write_json(folder, folder.file(SPEC), spec.model_dump(mode="json"))
        about = attempts.joined(attempts.newest(folder), environment, attempt)
        fence.write_json(folder, folder.file(ENVIRONMENT), about)
        return attempt

    def add_epoch(self, spec: RunSpec, epoch: EpochRecord) -> None:
        """Append to epochs.csv; a line of the same epoch is replaced."""
        history.add_epoch(self._mine(spec), epoch)

    def add_scores(self, spec: RunSpec, scores: Sequence[Score]) -> None:
        """Append to scores.json; the same metric of the same protocol, step and checkpoint is replaced."""
        history.add_scores(self._mine(spec), scores)

    def add_grid(self, spec: RunSpec, epoch: int, grid: Images) -> None:
        """Write samples/epoch_NNNN.png from uint8 [H, W] or [H, W, 3]."""
        folder = self._mine(spec)
        fence.write_bytes(folder, folder.grid(epoch), png(grid))

    def add_real_grid(self, spec: RunSpec, grid: Images) -> None:
        """Write samples/real.png from uint8 [H, W] or [H, W, 3]."""
        folder = self._mine(spec)
        fence.write_bytes(folder, folder.samples / REAL_PNG, png(grid))

    def add_trace(self, spec: RunSpec, trace: bytes) -> Path:
        """Write trace.json.gz, which nothing here reads again; return where it is."""
        folder = self._mine(spec)
        path = folder.file(TRACE)
        fence.write_bytes(folder, path, trace)
        return path

    def checkpoint(self, spec: RunSpec, checkpoint: Checkpoint) -> None:
        """Replace the run's checkpoint, after all that belongs to its step; the one before stays as a spare."""
        folder = self._mine(spec)
        recorded = history.so_far(folder, pairs.load(folder, BEST, self.notify))
        pairs.save(folder, CHECKPOINT, history.within(checkpoint, recorded))

    def keep_best(self, spec: RunSpec, checkpoint: Checkpoint) -> None:
        """Replace the run's best checkpoint; its `state` names the step that it is of."""
        pairs.save(self._mine(spec), BEST, checkpoint, spare=False)

    def finish(self, spec: RunSpec, record: RunRecord) -> None:
        """Write progress.gif, the sums of all files, and then record.json, last."""
        if record.run_id != spec.run_id:
            raise ValueError(f"the record is of {record.run_id}, the spec of {spec.run_id}")
        folder = self._mine(spec)
        self._film(folder)
        made = max(record.attempts, attempts.made(folder))
        caveat = attempts.caveat(attempts.newest(folder))
        record = record.model_copy(update={"caveat": caveat, "attempts": made})
        text = json_bytes(record.model_dump())
        sums.write(folder, text)
        fence.write_bytes(folder, folder.file(RECORD), text)
        if record.status in FINISHED:
            pairs.drop_previous(folder, CHECKPOINT)
        lease.give_back(folder.path)

    def _film(self, folder: RunFolder) -> None:
        grids = list(folder.grids().values())
        if grids:
            try:
                film = gif(grids)
            except RunError as fault:
                self.notify(f"no {PROGRESS_GIF}: {fault}")
                return
            fence.write_bytes(folder, folder.samples / PROGRESS_GIF, film)

    def _readable_spec(self, folder: RunFolder) -> RunSpec | None:
        try:
            return folder.any_spec() if folder.has(SPEC) else None
        except RunError as fault:
            self.notify(f"{fault}; written anew")
            return None

    def _mine(self, spec: RunSpec) -> RunFolder:
        """Return a run's folder to write into; RunTakenError if another process trains, or has overtaken, it."""
        folder = self._folder(spec)
        lease.take(folder.path)
        return folder


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise refused(path, error) from error


def _readable_epochs(folder: RunFolder) -> Sequence[EpochRecord]:
    try:
        return folder.epochs()
    except RunError:
        return []
