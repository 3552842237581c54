"""All metrics of the main protocol, a panel each."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gan_bench.report.data import ReportData
from gan_bench.report.plotting import GREY, direction, panels, plots, scale_axis, scored_protocols, spread

MAX_METRICS = 9


@plots.register("metrics")
def metrics(data: ReportData) -> Figure | None:
    """Every metric.

    The last scores under the main protocol, each training at its model's best rate by the headline metric; the
    short bar is the mean, the dashed line what real images reach.
    """
    protocols = scored_protocols(data)
    if not protocols:
        return None
    last = _last_scores(data, protocols[0])
    # A standard deviation over splits of one evaluation accompanies its mean; it ranks nothing.
    names = [name for name in dict.fromkeys(last["metric"]) if not name.endswith("_std")][:MAX_METRICS]
    if len(names) < 2:
        return None
    labels = list(data.board(protocols[0])["label"])
    figure, axes = panels(len(names), 9.2 / 3, 1.2 + 0.3 * len(labels), columns=3)
    for index, (ax, name) in enumerate(zip(axes, names, strict=True)):
        _panel(ax, data, last[last["metric"] == name], labels)
        if index % 3:
            ax.set_yticklabels([])
    return figure


def _last_scores(data: ReportData, protocol_id: str) -> pd.DataFrame:
    best = data.at_best_rate()
    chosen = best.loc[(best["protocol_id"] == protocol_id) & best["value"].notna(), "run_id"]
    scores = data.scores
    scores = scores[(scores["protocol_id"] == protocol_id) & (scores["checkpoint"] == "last")]
    scores = scores[scores["run_id"].isin(chosen)]
    newest = scores.groupby("run_id")["step"].transform("max")
    return scores[scores["step"] == newest]


def _panel(ax: Axes, data: ReportData, scores: pd.DataFrame, labels: list[str]) -> None:
    first = scores.iloc[0]
    for place, label in enumerate(labels):
        values = sorted(scores.loc[scores["label"] == label, "value"])
        offsets = [place + offset for offset in spread(len(values), 0.14)]
        ax.scatter(values, offsets, s=22, color=data.colours[label], alpha=0.65, linewidths=0, zorder=3)
        if len(values) > 1:
            mean = sum(values) / len(values)
            ax.plot([mean, mean], [place - 0.3, place + 0.3], color="#1d2129", linewidth=2, zorder=4)
    shown = list(scores["value"])
    if pd.notna(first["floor"]):
        shown.append(float(first["floor"]))
        ax.axvline(float(first["floor"]), color=GREY, linestyle=(0, (4, 3)), linewidth=1.2, zorder=1)
    scale_axis(ax.xaxis, shown)
    ax.set_yticks(range(len(labels)), labels)
    ax.set_ylim(len(labels) - 0.4, -0.6)
    ax.grid(visible=False, axis="y")
    ax.set_title(first["title"])
    ax.set_xlabel(direction(first["better"]))
