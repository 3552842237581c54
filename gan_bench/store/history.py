"""What a run records on its way, epochs and scores: added to, and brought back to what it was at a checkpoint."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from pydantic import ValidationError

from gan_bench.errors import RunError
from gan_bench.record import EpochRecord, Score
from gan_bench.store import fence
from gan_bench.store.atomic import json_bytes
from gan_bench.store.folder import EPOCH_COLUMNS, EPOCHS, SCORES, RunFolder

History: TypeAlias = tuple[Sequence[EpochRecord], Sequence[Score]]


def add_epoch(folder: RunFolder, epoch: EpochRecord) -> None:
    """Add a line to epochs.csv; one of the same epoch is replaced."""
    kept = [line for line in folder.epochs() if line.epoch != epoch.epoch]
    _write(folder, EPOCHS, _csv([*kept, epoch]))


def add_scores(folder: RunFolder, scores: Sequence[Score]) -> None:
    """Add to scores.json; a score of the same metric, protocol, step and checkpoint is replaced."""
    new = {_identity(score): score for score in scores}
    kept = [score for score in folder.scores() if _identity(score) not in new]
    _write(folder, SCORES, _json([*kept, *new.values()]))


def so_far(folder: RunFolder) -> dict[str, Any]:
    """Return every epoch and score, for a checkpoint to keep: its sum vouches for them."""
    epochs = [epoch.model_dump() for epoch in folder.epochs()]
    return {EPOCHS: epochs, SCORES: [score.model_dump() for score in folder.scores()]}


def parsed(kept: Any) -> History | None:
    """Return what `so_far` kept; None if this is not what this version of gan_bench keeps."""
    try:
        epochs = [EpochRecord.model_validate(epoch) for epoch in kept[EPOCHS]]
        return epochs, [Score.model_validate(score) for score in kept[SCORES]]
    except (KeyError, TypeError, ValidationError):
        return None


def restore(folder: RunFolder, history: History, notify: Callable[[str], None]) -> None:
    """Make epochs.csv and scores.json what they were; what had changed meanwhile is told to `notify`."""
    _tell_of_changes(folder, history, notify)
    _write(folder, EPOCHS, _csv(history[0]))
    _write(folder, SCORES, _json(history[1]))


def clear(folder: RunFolder) -> None:
    """Drop every epoch and score, readable or not; by files that hold none, for a removal can't be fenced."""
    for name, nothing in ((EPOCHS, _csv([])), (SCORES, _json([]))):
        if folder.has(name):
            _write(folder, name, nothing)


def _tell_of_changes(folder: RunFolder, history: History, notify: Callable[[str], None]) -> None:
    """Tell of a file that lacks what was in it at the checkpoint; what came later may well be in it, too."""
    epochs, scores = history
    try:
        if not {_csv([epoch]) for epoch in epochs} <= {_csv([epoch]) for epoch in folder.epochs()}:
            notify(f"{folder.path / EPOCHS}: has changed since it was written; taken from the checkpoint")
        if not {_json([score]) for score in scores} <= {_json([score]) for score in folder.scores()}:
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
