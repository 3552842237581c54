"""Rendering of plots to PNG and SVG, and what they share: style, panels, axes and legends."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from gan_bench.report.plots.base import plots
from gan_bench.report.report_data import ReportData

MANY_LINES = 40
"""With more lines than this in a panel, means and bands are drawn instead."""
MAX_PANELS = 6
LOG_RANGE = 12.0
"""An axis whose values span more than this factor is logarithmic."""
LOG_TICKS = ((1.0, 2.0, 5.0), (1.0, 3.0), (1.0,))
LABEL_WIDTH, LABEL_HEIGHT = 0.45, 0.3
"""Minimum size of a tick label in inches."""
DPI = 150
PAGE_DPI = 111
GREY = "#5b6470"
DATASET_SEPARATOR = "--"
"""Between a plot's name and the data set, where a report has several: samples--mnist.png."""
STYLE: dict[Any, Any] = {
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "axes.edgecolor": "#b8bfc8",
    "axes.labelcolor": "#2b3038",
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.labelsize": 10,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": "#e6e9ee",
    "grid.linewidth": 0.8,
    "xtick.color": "#4a515c",
    "ytick.color": "#4a515c",
    "xtick.labelsize": 9.5,
    "ytick.labelsize": 9.5,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "text.parse_math": False,
    "legend.frameon": False,
    "legend.fontsize": 9.5,
    "savefig.dpi": DPI,
    "svg.hashsalt": "gan_bench",
}


@dataclass(frozen=True)
class RenderedPlot:
    """A plot's name, title and caption, and its figure as PNG and as SVG."""

    name: str
    title: str
    caption: str
    width: int
    """Width on the page in CSS pixels, chosen so that text has one size in all plots."""
    png: bytes
    svg: bytes


def render_plots(data: ReportData) -> list[RenderedPlot]:
    """Render every registered plot that has something to show, in the page's order, once for each data set."""
    names = sorted(plots.names(), key=lambda name: plots.get(name).order)
    several = len(data.datasets) > 1
    rendered = []
    for name in names:
        for part, dataset in zip(data.by_dataset(), data.datasets, strict=True):
            plot = render_plot(name, part)
            if plot is not None:
                rendered.append(_of_dataset(plot, dataset) if several else plot)
    return rendered


def _of_dataset(plot: RenderedPlot, dataset: str) -> RenderedPlot:
    """Return a plot with its data set in its name and title."""
    return replace(plot, name=f"{plot.name}{DATASET_SEPARATOR}{dataset}", title=f"{plot.title}: {dataset}")


def render_plot(name: str, data: ReportData) -> RenderedPlot | None:
    """Render one plot in the report's style; None without data. Matplotlib's state is not changed."""
    plot = plots.get(name)
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE)
        figure = plot(data)
        if figure is None:
            return None
        FigureCanvasAgg(figure)
        png, svg = io.BytesIO(), io.BytesIO()
        figure.savefig(png, format="png", metadata={"Software": None})
        figure.set_layout_engine("none")  # solving the layout again for the SVG would double the time
        figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
    width = round(figure.get_figwidth() * PAGE_DPI)
    return RenderedPlot(name, plot.title, plot.caption, width, png.getvalue(), svg.getvalue())


def panels(
    count: int, width: float, height: float, columns: int = 2, sharex: bool = False
) -> tuple[Figure, list[Axes]]:
    """Return a figure of `count` panels, each `width` x `height` inches, at most `columns` a row."""
    columns = min(columns, count)
    rows = -(-count // columns)
    figure = Figure(
        figsize=(width * columns, height * rows),
        layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.1, wspace=0.03, hspace=0.04),
    )
    grid = figure.subplots(rows, columns, squeeze=False, sharex=sharex)
    axes = list(grid.flat)
    for spare in axes[count:]:
        spare.remove()
    return figure, axes[:count]


def scale_axis(axis: Axis, values: Iterable[float | None]) -> None:
    """Make an axis logarithmic, with plain numbers as tick labels, where positive values span a wide range."""
    found = [float(value) for value in values if value is not None and math.isfinite(value)]
    plain = FuncFormatter(lambda value, _: f"{value + 0.0:,.10g}")
    if not found or min(found) <= 0 or max(found) / min(found) < LOG_RANGE:
        if found and max(found) >= 10_000:
            axis.set_major_formatter(plain)
        if all(value.is_integer() for value in found):
            axis.set_major_locator(MaxNLocator(nbins=5, integer=True, min_n_ticks=1))
        return
    axis._set_axes_scale("log")  # type: ignore[attr-defined]
    decades = math.log10(max(found) / min(found))
    labels = _max_labels(axis)
    subs = next((each for each in LOG_TICKS if decades * len(each) <= labels), LOG_TICKS[-1])
    axis.set_major_locator(LogLocator(subs=subs, numticks=max(3, round(labels))))
    axis.set_major_formatter(plain)
    axis.set_minor_formatter(NullFormatter())


def _max_labels(axis: Axis) -> float:
    """Return about how many tick labels fit on an axis."""
    figure, box = axis.get_figure(), axis.axes.get_position()
    if not isinstance(figure, Figure):
        return 6.0
    if axis is axis.axes.xaxis:
        return box.width * figure.get_figwidth() / LABEL_WIDTH
    return box.height * figure.get_figheight() / LABEL_HEIGHT


def show_legend(figure: Figure, handles: Sequence[Line2D]) -> None:
    """Add a legend of `handles` to a figure, below its panels."""
    if handles:
        longest = max(len(str(handle.get_label())) for handle in handles)
        columns = max(1, min(len(handles), 100 // (longest + 8)))
        figure.legend(handles=handles, loc="outside lower center", ncols=columns)


def label_handles(data: ReportData, labels: Iterable[str], **style: Any) -> list[Line2D]:
    """Return legend entries for labels in their colors."""
    style = {"linewidth": 2, **style}
    return [Line2D([], [], color=data.colors[label], label=label, **style) for label in labels]


def spread(count: int, width: float) -> list[float]:
    """Return `count` offsets within +-`width`, consecutive ones apart: a deterministic jitter."""
    if count < 2:
        return [0.0] * count
    # Multiples of the golden ratio are spread evenly for every count.
    return [width * (2 * ((index * 0.6180339887 + 0.5) % 1) - 1) for index in range(count)]


def show_values(ax: Axes, y: float, values: Sequence[float], width: float, **style: Any) -> None:
    """Plot values as points around the row at `y`."""
    heights = [y + offset for offset in spread(len(values), width)]
    ax.scatter(values, heights, **{"linewidths": 0, "zorder": 3, "alpha": 0.65, **style})


def scored_protocols(data: ReportData) -> list[str]:
    """Return the protocols with a scored run, the main one first, at most MAX_PANELS."""
    scored = set(data.training_scores.loc[data.training_scores["value"].notna(), "protocol_id"])
    return [key for key in data.protocols if key in scored][:MAX_PANELS]


def direction(better: str) -> str:
    """Return an axis label's note on which direction is better."""
    return f"{better} is better"


def score_label(row: pd.Series[Any]) -> str:
    """Return the label of an axis of scores, from a row of a leaderboard."""
    return f"{row['title']} ({direction(row['better'])})"


def show_models(ax: Axes, labels: Sequence[str], real_reference: float | None = None) -> None:
    """Lay out a panel with a row per label, and a dashed line at the real-data reference if there is one."""
    if real_reference is not None and math.isfinite(real_reference):
        ax.axvline(real_reference, color=GREY, linestyle=(0, (4, 3)), linewidth=1.2, zorder=1)
    ax.set_yticks(range(len(labels)), labels)
    ax.set_ylim(len(labels) - 0.4, -0.6)
    ax.grid(visible=False, axis="y")
