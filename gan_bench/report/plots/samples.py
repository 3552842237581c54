"""Samples of each model beside real images."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gan_bench.report.data import ReportData
from gan_bench.report.frame import rate_text
from gan_bench.report.pictures import Grid, epoch_grids, read_grid, typical_runs
from gan_bench.report.plotting import panels, plots

TILES = 8
MAX_SHEETS = 12


@plots.register("samples")
def samples(data: ReportData) -> Figure | None:
    """Samples beside real images.

    Each model's last grid from the training whose score is the median of its seeds at its best rate, not the best
    one; nothing is picked within a grid.
    """
    sheets: list[tuple[str, Grid]] = []
    real: dict[str, Grid] = {}
    for label, run in typical_runs(data).items():
        spec, grids = run.spec, epoch_grids(run)
        picture = read_grid(grids[-1][1], TILES, spec.image_size) if grids else None
        if picture is not None and len(sheets) < MAX_SHEETS:
            state = "" if run.record.status == "done" else f", {run.record.status}"
            detail = f"seed {spec.seed}, lr {rate_text(spec.lr_g, spec.lr_d)}, epoch {grids[-1][0]}{state}"
            sheets.append((f"{label}\n{detail}", picture))
        name = f"real images\n{spec.dataset}, {spec.image_size} x {spec.image_size}"
        beside = None if name in real else read_grid(run.folder / "samples" / "real.png", TILES, spec.image_size)
        if beside is not None:
            real[name] = beside
    if not sheets:
        return None
    return draw_sheets([*real.items(), *sheets])


def draw_sheets(sheets: list[tuple[str, Grid]]) -> Figure:
    """Return a figure with one titled picture a panel, three a row."""
    figure, axes = panels(len(sheets), 3.07, 3.5, columns=3)
    for ax, (title, picture) in zip(axes, sheets, strict=True):
        show_picture(ax, picture)
        heading, _, detail = title.partition("\n")
        ax.set_title(heading, pad=20)
        ax.text(0, 1.02, detail, transform=ax.transAxes, fontsize=8.5, color="#5b6470", va="bottom")
    return figure


def show_picture(ax: Axes, picture: Grid) -> None:
    """Show an image pixel by pixel, without axes."""
    ax.imshow(picture, interpolation="nearest")
    ax.set_axis_off()
