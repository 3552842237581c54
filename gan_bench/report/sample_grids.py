"""Sample grids of a report: the run that represents a model, and reading its grids."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from gan_bench.core.errors import ReadError
from gan_bench.core.images import MAX_PIXELS, open_image
from gan_bench.core.records import StoredRun
from gan_bench.report.report_data import ReportData

Grid: TypeAlias = NDArray[np.uint8]

TILES = 8
MAX_ROWS = 16
PADDING = 2
MAX_EDGE = 1200
"""Pixels of a panel's side at most."""


def typical_runs(data: ReportData) -> dict[str, StoredRun]:
    """Return for each label the run with the median score at its best rate, under the main protocol that has it.

    The median run and not the best, which would be cherry-picked. A label without scores has its first run.
    """
    stored = {run.record.run_id: run for run in data.stored}
    chosen: dict[str, StoredRun] = {}
    rows = data.reported()
    for key in data.protocols:
        for label in data.board(key)["label"]:
            own = rows[(rows["label"] == label) & (rows["protocol_id"] == key)].sort_values(["value", "run_id"])
            scored = own[own["value"].notna()]
            if label not in chosen and len(scored):
                chosen[str(label)] = stored[scored["run_id"].iloc[(len(scored) - 1) // 2]]
    for run_id, label in zip(rows["run_id"], rows["label"], strict=True):
        chosen.setdefault(str(label), stored[run_id])
    return chosen


def read_grid(file: Path, tiles: int, image_size: int) -> Grid | None:
    """Return the first `tiles` x `tiles` images of a grid, uint8 [H, W, 3]; None for an unreadable file.

    With TILES it is the whole grid, which has a row for each class of a conditional model.

    None also for a link, and for an image larger than a grid of that many images can be: results may come from
    others. A grid of large images is reduced to what a plot can show.
    """
    width, height, largest, highest = (
        count * (image_size + PADDING) + PADDING
        for count in (min(tiles, TILES), MAX_ROWS if tiles >= TILES else tiles, TILES, MAX_ROWS)
    )
    try:
        with open_image(file, root=file.parents[2], max_pixels=min(MAX_PIXELS, largest * highest)) as image:
            part = image.crop((0, 0, min(width, image.width), min(height, image.height))).convert("RGB")
            part.thumbnail((MAX_EDGE, MAX_EDGE))
            return np.asarray(part)
    except ReadError:
        return None
