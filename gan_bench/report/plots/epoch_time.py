"""Epoch time by model."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gan_bench.core.numbers import number
from gan_bench.report.plots.base import plot
from gan_bench.report.plotting import MAX_PANELS, panels, scale_axis, show_models, show_values
from gan_bench.report.report_data import ReportData
from gan_bench.report.tables.summary import COST_CONDITIONS

MANY_POINTS = 200


@plot(
    "epoch_time",
    title="Epoch time by model",
    caption="Each point is the median epoch time of one training. A panel holds trainings on one device, in one "
    "arithmetic, with equal numbers of CPU threads and lanes. With several lanes it is the time of all lanes.",
    order=60,
)
def epoch_time(data: ReportData) -> Figure | None:
    """Plot epoch times as bars by model, a panel per device, arithmetic, threads and lanes."""
    keys = list(COST_CONDITIONS)
    timed = data.runs[data.runs["epoch_seconds_median"].notna() & (data.runs["status"] != "failed")]
    if timed.empty:
        return None
    groups = sorted(timed.groupby(keys), key=lambda pair: (-len(pair[1]), pair[0]))[:MAX_PANELS]
    rows = max(group["label"].nunique() for _, group in groups)
    figure, axes = panels(len(groups), 9.2, 1.2 + 0.42 * rows, columns=1)
    for ax, ((device, arithmetic, threads, lanes), group) in zip(axes, groups, strict=True):
        _panel(ax, data, group)
        together = "1 lane" if lanes == 1 else f"{lanes} lanes together"
        cores = f"CPU threads: {threads}, " if threads else ""
        ax.set_title(f"{device or 'unnamed device'}, {arithmetic}, {cores}{together}")
    return figure


def _panel(ax: Axes, data: ReportData, timed: pd.DataFrame) -> None:
    column = "epoch_seconds_median"
    medians = timed.groupby("label")[column].median().sort_values()
    for y, (label, median) in enumerate(medians.items()):
        values = timed.loc[timed["label"] == label, column].iloc[:MANY_POINTS]
        color = data.colors[str(label)]
        ax.barh(y, median, height=0.5, color=color, alpha=0.28, linewidth=0, zorder=2)
        show_values(ax, y, list(values), 0.16, s=24, color=color)
        ax.annotate(
            f"median {number(median)} s",
            (max(values), y),
            xytext=(8, 0),
            textcoords="offset points",
            va="center",
        )
    if medians.max() / max(medians.min(), 1e-9) > 50:
        scale_axis(ax.xaxis, timed[column])
    else:
        ax.set_xlim(0, float(timed[column].max()) * 1.18)
    show_models(ax, [str(label) for label in medians.index])
    ax.set_xlabel("epoch time [s]")
