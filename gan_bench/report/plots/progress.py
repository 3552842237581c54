"""Samples of each model over epochs."""

from __future__ import annotations

import itertools
import textwrap

from matplotlib.figure import Figure

from gan_bench.core.images import epoch_grids, evenly_spaced
from gan_bench.core.records import StoredRun
from gan_bench.report.plots.base import plot
from gan_bench.report.report_data import ReportData
from gan_bench.report.sample_grids import Grid, read_grid, typical_runs

COLUMNS = 6
TILES = 4
MAX_MODELS = 8
LABEL_CHARACTERS = 17
"""Characters of a label that fit beside a row; longer ones are wrapped."""


@plot(
    "progress",
    title="Samples over epochs",
    caption="Samples of the same noise at several epochs of one training per model: the training whose samples "
    "are shown beside real images.",
    order=80,
)
def progress(data: ReportData) -> Figure | None:
    """Plot a row of sample grids over epochs per model."""
    found = ((label, _grids(run)) for label, run in typical_runs(data).items())  # read one after another
    rows = list(itertools.islice((row for row in found if len(row[1]) > 1), MAX_MODELS))
    if not rows:
        return None
    columns = max(len(grids) for _, grids in rows)
    figure = Figure(figsize=(9.2, 1.85 * len(rows)), layout="constrained")
    axes = figure.subplots(len(rows), columns, squeeze=False)
    for line, (label, grids) in zip(axes, rows, strict=True):
        for ax in line:
            ax.set_axis_off()
        for ax, (epoch, grid) in zip(line, grids, strict=False):
            ax.imshow(grid, interpolation="nearest")
            ax.set_title(f"epoch {epoch}", fontsize=8.5, fontweight="normal", color="#5b6470", pad=3)
        line[0].text(
            -0.08,
            0.5,
            textwrap.fill(label, LABEL_CHARACTERS),
            transform=line[0].transAxes,
            rotation=90,
            va="center",
            ha="right",
            multialignment="center",
            weight="bold",
        )
    return figure


def _grids(run: StoredRun) -> list[tuple[int, Grid]]:
    """Return up to `COLUMNS` (epoch, grid), evenly spaced, the first and the last among them."""
    files = list(epoch_grids(run.folder / "samples", root=run.folder.parent).items())
    grids = [(epoch, read_grid(file, TILES, run.spec.image_size)) for epoch, file in evenly_spaced(files, COLUMNS)]
    return [(epoch, grid) for epoch, grid in grids if grid is not None]
