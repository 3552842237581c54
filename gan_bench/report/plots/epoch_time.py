"""Epoch time by model."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gan_bench.report.data import ReportData
from gan_bench.report.plotting import MAX_PANELS, panels, plots, scale_axis, spread
from gan_bench.report.tables import COST_CONDITIONS
from gan_bench.report.words import number

MANY_POINTS = 200


@plots.register("epoch_time")
def epoch_time(data: ReportData) -> Figure | None:
    """Epoch time by model.

    Each point is the median epoch of one training; only trainings on the same device, in the same arithmetic and
    with as many CPU threads and lanes share a panel. With several lanes the time is that of all of them together.
    """
    keys = list(COST_CONDITIONS)
    timed = data.runs[data.runs["epoch_seconds_median"].notna()]
    if timed.empty:
        return None
    groups = sorted(timed.groupby(keys), key=lambda pair: (-len(pair[1]), pair[0]))[:MAX_PANELS]
    rows = max(group["label"].nunique() for _, group in groups)
    figure, axes = panels(len(groups), 9.2, 1.2 + 0.42 * rows, columns=1)
    for ax, ((device, arithmetic, threads, lanes), group) in zip(axes, groups, strict=True):
        _panel(ax, data, group)
        together = "one training at a time" if lanes == 1 else f"{lanes} lanes together"
        cores = f"CPU threads: {threads}, " if threads else ""
        ax.set_title(f"{device or 'unnamed device'}, {arithmetic}, {cores}{together}")
    return figure


def _panel(ax: Axes, data: ReportData, timed: pd.DataFrame) -> None:
    column = "epoch_seconds_median"
    medians = timed.groupby("label")[column].median().sort_values()
    for place, (label, median) in enumerate(medians.items()):
        values = timed.loc[timed["label"] == label, column].iloc[:MANY_POINTS]
        colour = data.colours[str(label)]
        ax.barh(place, median, height=0.5, color=colour, alpha=0.28, linewidth=0, zorder=2)
        places = [place + offset for offset in spread(len(values), 0.16)]
        ax.scatter(values, places, s=24, color=colour, alpha=0.75, linewidths=0, zorder=3)
        ax.annotate(
            f"median {number(median)} s",
            (max(values), place),
            xytext=(8, 0),
            textcoords="offset points",
            va="center",
        )
    if medians.max() / max(medians.min(), 1e-9) > 50:
        scale_axis(ax.xaxis, timed[column])
    else:
        ax.set_xlim(0, float(timed[column].max()) * 1.18)
    ax.set_yticks(range(len(medians)), [str(label) for label in medians.index])
    ax.set_ylim(len(medians) - 0.4, -0.6)
    ax.grid(visible=False, axis="y")
    ax.set_xlabel("epoch time [s]")
