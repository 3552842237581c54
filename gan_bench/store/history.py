"""What a run recorded on its way (epochs, scores, grids): added to, and cut back to a checkpoint's step."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from gan_bench.record import EpochRecord, Score
from gan_bench.store.atomic import write_json, write_text
from gan_bench.store.folder import EPOCH_COLUMNS, EPOCHS, PROGRESS_GIF, SCORES, RunFolder


def add_epoch(folder: RunFolder, epoch: EpochRecord) -> None:
    """Add a line to epochs.csv; one of the same epoch is replaced."""
    kept = [line for line in folder.epochs() if line.epoch != epoch.epoch]
    _write_epochs(folder, [*kept, epoch])


def add_scores(folder: RunFolder, scores: Sequence[Score]) -> None:
    """Add to scores.json; a score of the same metric, protocol, step and checkpoint is replaced."""
    new = {_identity(score): score for score in scores}
    kept = [score for score in folder.scores() if _identity(score) not in new]
    _write_scores(folder, [*kept, *new.values()])


def cut(folder: RunFolder, step: int, epoch: int) -> None:
    """Drop every epoch and score after `step`, and every grid after `epoch` and the epochs that are kept."""
    epochs, scores = folder.epochs(), folder.scores()
    kept = [line for line in epochs if line.step <= step]
    if kept != epochs:
        _write_epochs(folder, kept)
    if any(score.step > step for score in scores):
        _write_scores(folder, [score for score in scores if score.step <= step])
    last = max([epoch, *(line.epoch for line in kept)])
    for number, path in folder.grids().items():
        if number > last:
            path.unlink()


def clear(folder: RunFolder) -> None:
    """Drop every epoch, score and grid, readable or not."""
    folder.file(EPOCHS).unlink(missing_ok=True)
    folder.file(SCORES).unlink(missing_ok=True)
    (folder.samples / PROGRESS_GIF).unlink(missing_ok=True)
    for path in folder.grids().values():
        path.unlink()


def _identity(score: Score) -> tuple[object, ...]:
    return score.metric, score.protocol.protocol_id, score.epoch, score.step, score.checkpoint


def _write_epochs(folder: RunFolder, epochs: Sequence[EpochRecord]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(EPOCH_COLUMNS)
    writer.writerows([getattr(line, column) for column in EPOCH_COLUMNS] for line in epochs)
    write_text(folder.file(EPOCHS), text.getvalue())


def _write_scores(folder: RunFolder, scores: Sequence[Score]) -> None:
    write_json(folder.file(SCORES), [score.model_dump() for score in scores])
