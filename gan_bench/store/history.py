"""What a run records on its way, epochs and scores: added to, and brought back to what it was at a checkpoint."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from gan_bench.errors import RunError
from gan_bench.record import Checkpoint, EpochRecord, Score
from gan_bench.store import fence
from gan_bench.store.atomic import json_bytes
from gan_bench.store.folder import BEST, EPOCH_COLUMNS, EPOCHS, SCORES, RunFolder

RECORDED = "recorded"


def add_epoch(folder: RunFolder, epoch: EpochRecord) -> None:
    """Add a line to epochs.csv; one of the same epoch is replaced."""
    kept = [line for line in folder.epochs() if line.epoch != epoch.epoch]
    _write(folder, EPOCHS, _csv([*kept, epoch]))


def add_scores(folder: RunFolder, scores: Sequence[Score]) -> None:
    """Add to scores.json; a score of the same metric, protocol, step and checkpoint is replaced."""
    new = {_identity(score): score for score in scores}
    kept = [score for score in folder.scores() if _identity(score) not in new]
    _write(folder, SCORES, _json([*kept, *new.values()]))


@dataclass(frozen=True)
class Recorded:
    """What a run has recorded so far. Its checkpoints carry it, so that their sums vouch for it."""

    epochs: Sequence[EpochRecord]
    scores: Sequence[Score]
    best: Checkpoint | None


def so_far(folder: RunFolder, best: Checkpoint | None) -> Recorded:
    """Return every epoch and score of a run, with its best checkpoint."""
    return Recorded(folder.epochs(), folder.scores(), best)


def within(checkpoint: Checkpoint, recorded: Recorded) -> Checkpoint:
    """Return a checkpoint that carries what was recorded."""
    best = recorded.best
    arrays = {f"{BEST}/{name}": array for name, array in best.arrays.items()} if best else {}
    values = {
        EPOCHS: [epoch.model_dump() for epoch in recorded.epochs],
        SCORES: [score.model_dump() for score in recorded.scores],
        BEST: best.state if best else None,
    }
    return Checkpoint({**checkpoint.arrays, **arrays}, {**checkpoint.state, RECORDED: values})


def without(checkpoint: Checkpoint) -> tuple[Checkpoint, Recorded] | None:
    """Undo `within`; None if it was done by another version of gan_bench, in words that this one doesn't know."""
    try:
        values = checkpoint.state[RECORDED]
        epochs = [EpochRecord.model_validate(epoch) for epoch in values[EPOCHS]]
        scores = [Score.model_validate(score) for score in values[SCORES]]
        best_state = values[BEST]
    except (KeyError, TypeError, ValidationError):
        return None
    state = {name: value for name, value in checkpoint.state.items() if name != RECORDED}
    own = {name: array for name, array in checkpoint.arrays.items() if not name.startswith(f"{BEST}/")}
    its = {
        name.removeprefix(f"{BEST}/"): checkpoint.arrays[name] for name in checkpoint.arrays.keys() - own.keys()
    }
    best = Checkpoint(its, best_state) if best_state is not None else None
    return Checkpoint(own, state), Recorded(epochs, scores, best)


def restore(folder: RunFolder, recorded: Recorded, notify: Callable[[str], None]) -> None:
    """Make epochs.csv and scores.json what they were; what had changed meanwhile is told to `notify`."""
    _tell_of_changes(folder, recorded, notify)
    _write(folder, EPOCHS, _csv(recorded.epochs))
    _write(folder, SCORES, _json(recorded.scores))


def clear(folder: RunFolder) -> None:
    """Drop every epoch and score, readable or not; by files that hold none, for a removal can't be fenced."""
    for name, nothing in ((EPOCHS, _csv([])), (SCORES, _json([]))):
        if folder.has(name):
            _write(folder, name, nothing)


def _tell_of_changes(folder: RunFolder, recorded: Recorded, notify: Callable[[str], None]) -> None:
    """Tell of a file that lacks what was in it at the checkpoint; what came later may well be in it, too."""
    try:
        if not {_csv([epoch]) for epoch in recorded.epochs} <= {_csv([epoch]) for epoch in folder.epochs()}:
            notify(f"{folder.path / EPOCHS}: has changed since it was written; taken from the checkpoint")
        if not {_json([score]) for score in recorded.scores} <= {_json([score]) for score in folder.scores()}:
            notify(f"{folder.path / SCORES}: has changed since it was written; taken from the checkpoint")
    except RunError as fault:
        notify(f"{fault}; taken from the checkpoint")


def _identity(score: Score) -> tuple[object, ...]:
    return score.metric, score.protocol.protocol_id, score.epoch, score.step, score.checkpoint


def _csv(epochs: Sequence[EpochRecord]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(EPOCH_COLUMNS)
    writer.writerows([getattr(line, column) for column in EPOCH_COLUMNS] for line in epochs)
    return text.getvalue().encode()


def _json(scores: Sequence[Score]) -> bytes:
    return json_bytes([score.model_dump() for score in scores])


def _write(folder: RunFolder, name: str, data: bytes) -> None:
    fence.write_bytes(folder, folder.file(name), data)
