"""Sample grids of a report: the run that represents a model, and reading its grids."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from gan_bench.core.errors import RunError
from gan_bench.core.files import inside
from gan_bench.core.images import open_image
from gan_bench.core.records import StoredRun
from gan_bench.report.report_data import ReportData

Grid: TypeAlias = NDArray[np.uint8]

TILES = 8
PADDING = 2


def typical_runs(data: ReportData) -> dict[str, StoredRun]:
    """Return for each label the run with the median score at its best rate, under the main protocol that has it.

    The median run and not the best, which would be cherry-picked. A label without scores has its first run.
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


def read_grid(file: Path, tiles: int, image_size: int) -> Grid | None:
    """Return the first `tiles` x `tiles` images of a grid, uint8 [H, W, 3]; None for an unreadable file.

    None also for a link that leads out of the run's folder: results may come from others.
    """
    if not inside(file, file.parent.parent):
        return None
    try:
        with open_image(file) as image:
            pixels = np.asarray(image.convert("RGB"))
    except RunError:
        return None
    edge = min(tiles, TILES) * (image_size + PADDING) + PADDING
    return pixels[:edge, :edge]
