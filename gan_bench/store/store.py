"""The store: a results folder that records runs, each written by one process at a time."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gan_bench.core.errors import RunError, RunTakenError
from gan_bench.core.events import OnEvent
from gan_bench.core.files import json_bytes, write_bytes, write_error
from gan_bench.core.images import gif_bytes, png_bytes
from gan_bench.core.records import Checkpoint, EpochRecord, RunRecord, Score
from gan_bench.core.training_spec import TrainingSpec
from gan_bench.store import attempts, checkpoints, checksums, fenced_writes, history, leases, results_folder
from gan_bench.store.reader import TRAINED, Reader, log_notices
from gan_bench.store.run_folder import (
    BEST,
    CHECKPOINT,
    ENVIRONMENT,
    EPOCHS,
    PROGRESS_GIF,
    REAL_PNG,
    RECORD,
    SCORES,
    SPEC,
    TRACE,
    RunFolder,
)

if TYPE_CHECKING:
    from gan_bench.core.records import Images


class Store(Reader):
    """A results folder, opened for reading and writing.

    Every write to a run requires its lease and acquires it if necessary: RunTakenError if another process holds
    it. Writes are atomic, and raise RunError where the file system refuses.
    """

    @classmethod
    def open(cls, root: Path, *, create: bool, on_event: OnEvent = log_notices) -> Store:
        """Open the results folder `root`; with `create`, create and mark it if necessary.

        Raises InputError for a path that is not a folder, is not writable, has no results, or was written by
        another schema version. Without `create` nothing is written, so that read-only results can be opened.
        """
        results_folder.check(root, create=create)
        return cls(root, on_event)

    # A run as a whole

    def expect(self, specs: Sequence[TrainingSpec]) -> None:
        """Write spec.json of runs that are about to be trained, so that `status` lists them as pending."""
        for spec in specs:
            folder = self._folder(spec)
            if not folder.has(SPEC):
                _make_folder(folder.path)
                try:
                    write_bytes(folder.file(SPEC), json_bytes(spec.model_dump(mode="json")))
                except RunError as error:
                    if not isinstance(error.__cause__, FileNotFoundError):
                        raise  # otherwise removed by a process that has just started this run, and writes the same

    def discard(self, spec: TrainingSpec) -> None:
        """Remove a run's folder."""
        folder = self._folder(spec).path
        if not folder.exists():
            return
        leases.take(folder)
        removed = folder.with_name(f".forgotten-{spec.run_id}")
        try:
            # renamed first: a kill during the removal must not leave half a run
            shutil.rmtree(removed, ignore_errors=True)
            folder.rename(removed)
            shutil.rmtree(removed)
        except OSError as error:
            raise write_error(folder, error) from error
        finally:
            leases.release(folder)

    def record_failure(self, spec: TrainingSpec, reason: str, log: str = "", *, lanes: int = 1) -> RunRecord:
        """Record that a run's worker died, and return the record.

        A trained run keeps its outcome, and the reason is recorded as that of its evaluation. `log` is the tail
        of the worker's output. Raises RunTakenError if another process holds the run, and RunError if the folder
        contains another run's spec.
        """
        folder = self._folder(spec)
        known = self.outcome(spec)
        if known and known.status in TRAINED:
            return self.add_evaluation(spec, [], known.model_copy(update={"evaluation_failure": reason}))
        if known:
            return known
        if not folder.has(SPEC):
            self.begin(spec, {})
        self._own(spec).spec()  # from the dead worker, whose lease ends here
        epochs = _readable_epochs(folder)
        record = RunRecord(
            run_id=spec.run_id,
            status="failed",
            reason=reason,
            log_tail=log,
            lanes=lanes,
            attempts=max(1, attempts.count(folder)),
            steps=epochs[-1].step if epochs else 0,
            epochs=epochs[-1].epoch if epochs else 0,
            train_seconds=sum(epoch.epoch_seconds for epoch in epochs),
            finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        self.finish(spec, record)
        return record

    # Training

    def claim(self, spec: TrainingSpec) -> bool:
        """Acquire a run's lease for this process; return False if another process holds it."""
        folder = self._folder(spec)
        _make_folder(folder.path)
        try:
            leases.take(folder.path)
        except RunTakenError:
            return False
        return True

    def release(self, spec: TrainingSpec) -> None:
        """Release a claimed run; does nothing if this process does not hold it."""
        leases.release(self._folder(spec).path)

    def resume(
        self, spec: TrainingSpec, accepts: checkpoints.Accepts = checkpoints.accept_any
    ) -> Checkpoint | None:
        """Return the newest intact checkpoint of an untrained run, or None to start from step 0.

        One that `accepts` raises RunError for, without its history, counts as damaged: the spare one is used, or
        training starts from the beginning. Restores epochs, scores and the best weights to their state at the
        checkpoint. Sample grids are drawn again.
        """
        if not self._folder(spec).path.is_dir() or self.is_trained(spec):
            return None
        folder = self._own(spec)

        def accepts_both(checkpoint: Checkpoint) -> None:
            accepts(history.extract(checkpoint)[0])

        found = checkpoints.restore(folder, CHECKPOINT, self.on_event, accepts_both)
        known = history.extract(found) if found else None
        if known is None:
            history.clear(folder)
            checkpoints.discard(folder, CHECKPOINT)
            checkpoints.discard(folder, BEST)
            return None
        checkpoint, recorded = known
        history.restore(folder, recorded, self.on_event)
        if recorded.best:
            checkpoints.save(folder, BEST, recorded.best, spare=False)
        else:
            checkpoints.discard(folder, BEST)
        return checkpoint

    def begin(self, spec: TrainingSpec, environment: Mapping[str, Any]) -> int:
        """Create the run's folder with spec.json and environment.json; return the attempt's number, from 1.

        Raises RunError if the run is trained, if another process holds it, or if the folder contains another
        run's spec. The record of an earlier, failed attempt no longer counts.
        """
        if self.is_trained(spec):
            raise RunError(f"{spec.run_id}: already trained; --fresh trains it again")
        _make_folder(self._folder(spec).samples)
        folder = self._own(spec)
        found = self._readable_spec(folder)
        if found is not None and found != spec:
            raise RunError(f"{folder.path}: contains another run's spec; remove that folder")
        attempt = attempts.count(folder) + 1
        if found is None:
            fenced_writes.write_bytes(folder, folder.file(SPEC), json_bytes(spec.model_dump(mode="json")))
        about = attempts.with_earlier(attempts.last_environment(folder), environment, attempt)
        fenced_writes.write_bytes(folder, folder.file(ENVIRONMENT), json_bytes(about))
        return attempt

    def add_epoch(self, spec: TrainingSpec, epoch: EpochRecord) -> None:
        """Append to epochs.csv; a line of the same epoch is replaced."""
        folder = self._own(spec)
        kept = [line for line in folder.epochs() if line.epoch != epoch.epoch]
        fenced_writes.write_bytes(folder, folder.file(EPOCHS), history.epochs_csv([*kept, epoch]))

    def add_scores(self, spec: TrainingSpec, scores: Sequence[Score]) -> None:
        """Append to scores.json while a run is trained; equal scores are replaced, see `history.merged`."""
        folder = self._own(spec)
        merged = history.merged(folder.scores(), scores)
        fenced_writes.write_bytes(folder, folder.file(SCORES), history.scores_json(merged))

    def add_grid(self, spec: TrainingSpec, epoch: int, grid: Images) -> None:
        """Write samples/epoch_NNNN.png from uint8 [H, W] or [H, W, 3]."""
        folder = self._own(spec)
        fenced_writes.write_bytes(folder, folder.grid(epoch), png_bytes(grid))

    def add_real_grid(self, spec: TrainingSpec, grid: Images) -> None:
        """Write samples/real.png: real images in the same layout, uint8 [H, W] or [H, W, 3]."""
        folder = self._own(spec)
        fenced_writes.write_bytes(folder, folder.samples / REAL_PNG, png_bytes(grid))

    def add_trace(self, spec: TrainingSpec, trace: bytes) -> Path:
        """Write trace.json.gz, the profiler's trace, and return its path."""
        folder = self._own(spec)
        path = folder.file(TRACE)
        fenced_writes.write_bytes(folder, path, trace)
        return path

    def checkpoint(self, spec: TrainingSpec, checkpoint: Checkpoint) -> None:
        """Replace the run's checkpoint, with its history embedded; the previous one is kept as a spare."""
        folder = self._own(spec)
        recorded = history.so_far(folder, checkpoints.load(folder, BEST, self.on_event))
        checkpoints.save(folder, CHECKPOINT, history.embed(checkpoint, recorded))

    def keep_best(self, spec: TrainingSpec, checkpoint: Checkpoint) -> None:
        """Replace the run's best checkpoint: the generator's weights and the step they are of."""
        checkpoints.save(self._own(spec), BEST, checkpoint, spare=False)

    def finish(self, spec: TrainingSpec, record: RunRecord) -> None:
        """Write progress.gif, the checksums of all files, and record.json last; the lease stays."""
        if record.run_id != spec.run_id:
            raise ValueError(f"the record is of {record.run_id}, the spec of {spec.run_id}")
        folder = self._own(spec)
        if not folder.has(SCORES):  # `add_evaluation` replaces it: a kill leaves the old one or the new one
            fenced_writes.write_bytes(folder, folder.file(SCORES), history.scores_json([]))
        self._write_gif(folder)
        attempt = max(record.attempts, attempts.count(folder))
        caveat = attempts.caveat(attempts.last_environment(folder))
        record = record.model_copy(update={"caveat": caveat, "attempts": attempt})
        text = json_bytes(record.model_dump())
        checksums.write(folder, text)
        fenced_writes.write_bytes(folder, folder.file(RECORD), text)
        if record.status in TRAINED:
            checkpoints.drop_previous(folder, CHECKPOINT)

    # Evaluation

    def add_evaluation(self, spec: TrainingSpec, scores: Sequence[Score], record: RunRecord) -> RunRecord:
        """Add scores to a trained run and replace its record, with their checksums; return the record.

        A kill at any moment leaves a readable run: see `checksums.replace`.
        """
        folder = self._own(spec)
        contents = {RECORD: json_bytes(record.model_dump())}
        if scores:
            merged = history.merged(folder.scores(), scores)
            contents = {SCORES: history.scores_json(merged), **contents}
        checksums.replace(folder, contents)
        return record

    def _write_gif(self, folder: RunFolder) -> None:
        grids = list(folder.grids().values())
        if grids:
            try:
                animation = gif_bytes(grids)
            except RunError as fault:
                self.notice(f"no {PROGRESS_GIF}: {fault}")
                return
            fenced_writes.write_bytes(folder, folder.samples / PROGRESS_GIF, animation)

    def _readable_spec(self, folder: RunFolder) -> TrainingSpec | None:
        try:
            return folder.any_spec() if folder.has(SPEC) else None
        except RunError as fault:
            self.notice(f"{fault}; it is written again")
            return None

    def _own(self, spec: TrainingSpec) -> RunFolder:
        """Return a run's folder with its lease; raise RunTakenError if another process holds it."""
        folder = self._folder(spec)
        leases.take(folder.path)
        return folder


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(path, error) from error


def _readable_epochs(folder: RunFolder) -> Sequence[EpochRecord]:
    try:
        return folder.epochs()
    except RunError:
        return []
