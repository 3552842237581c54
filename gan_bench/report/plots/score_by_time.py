"""Score by training time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias, cast

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gan_bench.report import plotting
from gan_bench.report.plots.base import plot
from gan_bench.report.report_data import ReportData
from gan_bench.report.tables.time_to_score import timed_scores

Groups: TypeAlias = Iterable[tuple[tuple[str, ...], pd.DataFrame]]

MARKERS = "osD^vP*X"


@plot(
    "score_by_time",
    title="Score by training time",
    caption="Scores during each reported training; the large point is the end of a training. The time "
    "of lanes, trained as one program, is divided evenly among them, without evaluation, warm-up and disk.",
    order=50,
)
def score_by_time(data: ReportData) -> Figure | None:
    """Plot the headline metric by training time, a panel per protocol."""
    protocols = plotting.scored_protocols(data)
    timed = timed_scores(data)
    protocols = [key for key in protocols if (timed["protocol_id"] == key).any()]
    if not protocols:
        return None
    devices = sorted(timed["device_name"].unique())
    markers = {device: MARKERS[index % len(MARKERS)] for index, device in enumerate(devices)}
    figure, axes = plotting.panels(len(protocols), 9.2 if len(protocols) == 1 else 4.6, 3.8)
    for ax, key in zip(axes, protocols, strict=True):
        _panel(ax, data, key, timed[timed["protocol_id"] == key], markers)
    handles = plotting.label_handles(data, sorted(timed["label"].unique()))
    if len(devices) > 1:
        handles += [Line2D([], [], color=plotting.GREY, marker=markers[d], linestyle="", label=d) for d in devices]
    plotting.show_legend(figure, handles)
    return figure


def _panel(ax: Axes, data: ReportData, key: str, scores: pd.DataFrame, markers: dict[str, str]) -> None:
    first = data.board(key).iloc[0]
    many = scores["run_id"].nunique() > plotting.MANY_LINES
    by = ["label", "device_name"] if many else ["label", "device_name", "run_id"]
    for (label, device, *_), own in cast("Groups", scores.groupby(by)):
        if many:
            own = own.groupby("epoch")[["seconds", "value"]].mean()
        color = data.colors[label]
        ax.plot(own["seconds"], own["value"], color=color, linewidth=1.3, alpha=0.8, zorder=3)
        ax.scatter(own["seconds"][:-1], own["value"][:-1], s=9, color=color, linewidths=0, alpha=0.8, zorder=3)
        ax.scatter(own["seconds"][-1:], own["value"][-1:], s=40, color=color, marker=markers[device], zorder=4)
    plotting.scale_axis(ax.yaxis, scores["value"])
    plotting.scale_axis(ax.xaxis, scores["seconds"])
    ax.margins(0.06)
    single = (data.runs["lanes"] <= 1).all()
    time = "training time of one run [s]" if single else "training time / lanes [s]"
    ax.set_xlabel(time + (", mean over seeds" if many else ""))
    ax.set_ylabel(plotting.score_label(first))
    ax.set_title(data.protocol_title(key, two_lines=True), fontsize=9.5)
