"""History of a run, its epochs and scores: appending, and restoring the state of a checkpoint."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from gan_bench.core.errors import ReadError, RunError
from gan_bench.core.events import Notice, OnEvent
from gan_bench.core.files import json_bytes
from gan_bench.core.records import Checkpoint, EpochRecord, Score
from gan_bench.store import fenced_writes
from gan_bench.store.run_folder import BEST, EPOCH_COLUMNS, EPOCHS, SCORES, RunFolder

RECORDED = "recorded"


def merged(old: Sequence[Score], new: Sequence[Score]) -> list[Score]:
    """Return both; of scores of the same metric, protocol, draw, step and checkpoint, the new one."""
    replaced = {_identity(score): score for score in new}
    return [*(score for score in old if _identity(score) not in replaced), *replaced.values()]


@dataclass(frozen=True)
class Recorded:
    """What a run has recorded so far. It is part of its checkpoints, whose checksums cover it."""

    epochs: Sequence[EpochRecord]
    scores: Sequence[Score]
    best: Checkpoint | None


def so_far(folder: RunFolder, best: Checkpoint | None) -> Recorded:
    """Return every epoch and score of a run, with its best checkpoint."""
    return Recorded(folder.epochs(), folder.scores(), best)


def embed(checkpoint: Checkpoint, recorded: Recorded) -> Checkpoint:
    """Return the checkpoint with the history embedded."""
    best = recorded.best
    arrays = {f"{BEST}/{name}": array for name, array in best.arrays.items()} if best else {}
    values = {
        EPOCHS: [epoch.model_dump() for epoch in recorded.epochs],
        SCORES: [score.model_dump() for score in recorded.scores],
        BEST: best.state if best else None,
    }
    return Checkpoint({**checkpoint.arrays, **arrays}, {**checkpoint.state, RECORDED: values})


def extract(checkpoint: Checkpoint) -> tuple[Checkpoint, Recorded]:
    """Undo `embed`; raise ReadError for a history that is damaged, or was written by an incompatible version."""
    try:
        values = checkpoint.state[RECORDED]
        epochs = [EpochRecord.model_validate(epoch) for epoch in values[EPOCHS]]
        scores = [Score.model_validate(score) for score in values[SCORES]]
        best_state = values[BEST]
        if best_state is not None and not isinstance(best_state, Mapping):
            raise TypeError("not an object")
    except (KeyError, TypeError, ValidationError):
        raise ReadError("its history can't be read") from None
    state = {name: value for name, value in checkpoint.state.items() if name != RECORDED}
    own = {name: array for name, array in checkpoint.arrays.items() if not name.startswith(f"{BEST}/")}
    its = {
        name.removeprefix(f"{BEST}/"): checkpoint.arrays[name] for name in checkpoint.arrays.keys() - own.keys()
    }
    best = Checkpoint(its, best_state) if best_state is not None else None
    return Checkpoint(own, state), Recorded(epochs, scores, best)


def restore(folder: RunFolder, recorded: Recorded, on_event: OnEvent) -> None:
    """Restore epochs.csv and scores.json; emit a notice for a file that was changed meanwhile."""
    _report_changes(folder, recorded, on_event)
    _write(folder, EPOCHS, epochs_csv(recorded.epochs))
    _write(folder, SCORES, scores_json(recorded.scores))


def clear(folder: RunFolder) -> None:
    """Drop every epoch and score by writing empty files, because a removal can't be fenced."""
    for name, nothing in ((EPOCHS, epochs_csv([])), (SCORES, scores_json([]))):
        if folder.has(name):
            _write(folder, name, nothing)


def _report_changes(folder: RunFolder, recorded: Recorded, on_event: OnEvent) -> None:
    """Emit a notice for a file that lacks what it contained at the checkpoint; later entries are expected."""

    def check(name: str, expected: set[bytes], found: set[bytes]) -> None:
        if not expected <= found:
            changed = f"{folder.path / name}: was changed after it was written"
            on_event(Notice(f"{changed}; restored from the checkpoint"))

    try:
        check(
            EPOCHS,
            {epochs_csv([epoch]) for epoch in recorded.epochs},
            {epochs_csv([epoch]) for epoch in folder.epochs()},
        )
        check(SCORES, {scores_json([s]) for s in recorded.scores}, {scores_json([s]) for s in folder.scores()})
    except RunError as fault:
        on_event(Notice(f"{fault}; restored from the checkpoint"))


def _identity(score: Score) -> tuple[object, ...]:
    return score.metric, score.protocol.protocol_id, score.draw, score.epoch, score.step, score.checkpoint


def epochs_csv(epochs: Sequence[EpochRecord]) -> bytes:
    """Return the content of epochs.csv."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(EPOCH_COLUMNS)
    writer.writerows([getattr(line, column) for column in EPOCH_COLUMNS] for line in epochs)
    return text.getvalue().encode()


def scores_json(scores: Sequence[Score]) -> bytes:
    """Return the content of scores.json."""
    return json_bytes([score.model_dump() for score in scores])


def _write(folder: RunFolder, name: str, data: bytes) -> None:
    fenced_writes.write_bytes(folder, folder.file(name), data)
