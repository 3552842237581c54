"""How each model's samples change over epochs."""

from __future__ import annotations

import textwrap

from matplotlib.figure import Figure

from gan_bench.record import StoredRun
from gan_bench.report.data import ReportData
from gan_bench.report.pictures import Grid, epoch_grids, read_grid, typical_runs
from gan_bench.report.plotting import plots

COLUMNS = 6
TILES = 4
MAX_MODELS = 8

LETTERS = 17
"""As many letters of a label as fit beside a row of pictures; a label that is too long squeezes them away."""


@plots.register("progress")
def progress(data: ReportData) -> Figure | None:
    """Progress over epochs.

    The same noise at several epochs of one training (the one of the sheet above), from the first to the last.
    """
    rows = [(label, run, _few(run)) for label, run in typical_runs(data).items()]
    rows = [row for row in rows if len(row[2]) > 1][:MAX_MODELS]
    if not rows:
        return None
    columns = max(len(pictures) for _, _, pictures in rows)
    figure = Figure(figsize=(9.2, 1.85 * len(rows)), layout="constrained")
    axes = figure.subplots(len(rows), columns, squeeze=False)
    for line, (label, _, pictures) in zip(axes, rows, strict=True):
        for ax in line:
            ax.set_axis_off()
        for ax, (epoch, picture) in zip(line, pictures, strict=False):
            ax.imshow(picture, interpolation="nearest")
            ax.set_title(f"epoch {epoch}", fontsize=8.5, fontweight="normal", color="#5b6470", pad=3)
        line[0].text(
            -0.08,
            0.5,
            textwrap.fill(label, LETTERS),
            transform=line[0].transAxes,
            rotation=90,
            va="center",
            ha="right",
            multialignment="center",
            weight="bold",
        )
    return figure


def _few(run: StoredRun) -> list[tuple[int, Grid]]:
    """Return up to `COLUMNS` (epoch, picture), evenly spaced, first and last among them."""
    grids = epoch_grids(run)
    count = min(COLUMNS, len(grids))
    if count < 2:
        return []
    picked = [grids[round(index * (len(grids) - 1) / (count - 1))] for index in range(count)]
    read = [(epoch, read_grid(file, TILES, run.spec.image_size)) for epoch, file in picked]
    return [(epoch, picture) for epoch, picture in read if picture is not None]
