"""The pictures in a run's folder: which run stands for a model, and reading its grids."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from gan_bench.errors import RunError
from gan_bench.grids import opened
from gan_bench.record import StoredRun
from gan_bench.report.data import ReportData

Grid: TypeAlias = NDArray[np.uint8]

TILES = 8
PADDING = 2
EPOCH_FILE = re.compile(r"epoch_(\d+)\.png")


def typical_runs(data: ReportData) -> dict[str, StoredRun]:
    """Return for each label of the main protocol the run whose score is the median at its best rate.

    The median and not the best: a picked sample shows luck. Labels without a scored run have their first run.
    """
    stored = {run.record.run_id: run for run in data.stored}
    chosen: dict[str, StoredRun] = {}
    rows = data.at_best_rate()
    for key in data.protocols:
        for label in data.board(key)["label"]:
            own = rows[(rows["label"] == label) & (rows["protocol_id"] == key)].sort_values(["value", "run_id"])
            scored = own[own["value"].notna()]
            if label not in chosen and len(scored):
                chosen[str(label)] = stored[scored["run_id"].iloc[(len(scored) - 1) // 2]]
    for run_id, label in zip(rows["run_id"], rows["label"], strict=True):
        chosen.setdefault(str(label), stored[run_id])
    return chosen


def epoch_grids(run: StoredRun) -> list[tuple[int, Path]]:
    """Return a run's sample grids as (epoch, file), in order; empty where it has none."""
    files = (run.folder / "samples").glob("epoch_*.png")
    found = [(int(match[1]), file) for file in files if (match := EPOCH_FILE.fullmatch(file.name))]
    return sorted(found)


def read_grid(file: Path, tiles: int, image_size: int) -> Grid | None:
    """Return the first `tiles` x `tiles` images of a grid, uint8 [H, W, 3]; None where it can't be read.

    A link that leads out of the run's folder is not followed: what it shows may be nobody else's business.
    """
    if not file.resolve().is_relative_to(file.parent.parent.resolve()):
        return None
    try:
        with opened(file) as image:
            pixels = np.asarray(image.convert("RGB"))
    except RunError:
        return None
    edge = min(tiles, TILES) * (image_size + PADDING) + PADDING
    return pixels[:edge, :edge]
