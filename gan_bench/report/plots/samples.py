"""Samples of each model beside real images."""

from __future__ import annotations

from matplotlib.figure import Figure

from gan_bench.core.images import epoch_grids
from gan_bench.core.numbers import rate_text
from gan_bench.report.plots.base import plot
from gan_bench.report.plotting import panels
from gan_bench.report.report_data import ReportData
from gan_bench.report.sample_grids import TILES, Grid, read_grid, typical_runs

MAX_MODELS = 12


@plot(
    "samples",
    title="Samples beside real images",
    caption="Each model's last sample grid, of the reported training with the median score over seeds. "
    "Samples are not selected.",
    order=20,
)
def samples(data: ReportData) -> Figure | None:
    """Plot the last sample grid of each model beside real images."""
    generated: list[tuple[str, Grid]] = []
    real: dict[str, Grid] = {}
    for label, run in typical_runs(data).items():
        if len(generated) == MAX_MODELS:
            break
        spec, folder = run.spec, run.folder / "samples"
        epoch, file = max(epoch_grids(folder, root=run.folder.parent).items(), default=(0, None))
        grid = read_grid(file, TILES, spec.image_size) if file else None
        if grid is not None:
            state = "" if run.record.status == "done" else f", {run.record.status}"
            detail = f"seed {spec.seed}, lr {rate_text(spec.lr_g, spec.lr_d)}, epoch {epoch}{state}"
            generated.append((f"{label}\n{detail}", grid))
        name = f"real images\n{spec.dataset}, {spec.image_size} x {spec.image_size}"
        reference = (
            None
            if name in real or len(real) == MAX_MODELS
            else read_grid(folder / "real.png", TILES, spec.image_size)
        )
        if reference is not None:
            real[name] = reference
    return _grids([*real.items(), *generated]) if generated else None


def _grids(grids: list[tuple[str, Grid]]) -> Figure:
    """Return a figure with one titled sample grid per panel, three in a row."""
    figure, axes = panels(len(grids), 3.07, 3.5, columns=3)
    for ax, (title, grid) in zip(axes, grids, strict=True):
        ax.imshow(grid, interpolation="nearest")
        ax.set_axis_off()
        heading, _, detail = title.partition("\n")
        ax.set_title(heading, pad=20)
        ax.text(0, 1.02, detail, transform=ax.transAxes, fontsize=8.5, color="#5b6470", va="bottom")
    return figure
