"""All metrics of the main protocol, one panel each."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gan_bench.report.dataframes import average_draws
from gan_bench.report.plots.base import plot
from gan_bench.report.plotting import direction, panels, scale_axis, scored_protocols, show_models, show_values
from gan_bench.report.report_data import ReportData

MAX_METRICS = 9


@plot(
    "metrics",
    title="All metrics",
    caption="Final scores under the main protocol of each reported training, at the rate chosen by the headline "
    "metric. The short bar is the mean over trainings, the dashed line the real-data reference.",
    order=30,
)
def metrics(data: ReportData) -> Figure | None:
    """Plot every metric of the main protocol by model."""
    protocols = scored_protocols(data)
    if not protocols:
        return None
    last = _final_scores(data, protocols[0])
    # A standard deviation over splits or subsets of one evaluation ranks no model.
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


def _final_scores(data: ReportData, protocol_id: str) -> pd.DataFrame:
    best = data.reported()
    chosen = best.loc[(best["protocol_id"] == protocol_id) & best["value"].notna(), "run_id"]
    scores = data.scores
    scores = scores[(scores["protocol_id"] == protocol_id) & (scores["checkpoint"] == "last")]
    scores = scores[scores["run_id"].isin(chosen)]
    newest = scores.groupby("run_id")["step"].transform("max")
    return average_draws(scores[scores["step"] == newest])


def _panel(ax: Axes, data: ReportData, scores: pd.DataFrame, labels: list[str]) -> None:
    first = scores.iloc[0]
    for y, label in enumerate(labels):
        values = sorted(scores.loc[scores["label"] == label, "value"])
        show_values(ax, y, values, 0.14, s=22, color=data.colors[label])
        if len(values) > 1:
            mean = sum(values) / len(values)
            ax.plot([mean, mean], [y - 0.3, y + 0.3], color="#1d2129", linewidth=2, zorder=4)
    reference = first["real_reference"]
    scale_axis(ax.xaxis, [*scores["value"], reference])
    show_models(ax, labels, reference)
    ax.set_title(first["title"])
    ax.set_xlabel(direction(first["better"]))
