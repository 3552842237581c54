"""Score by model: trainings, mean and interval."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gan_bench.report import plotting
from gan_bench.report.formatting import count_text
from gan_bench.report.plots.base import plot
from gan_bench.report.report_data import ReportData


@plot(
    "score_by_model",
    title="Score by model",
    caption="Each point is one reported training: its mean over generation draws. The diamond is the mean over "
    "trainings, the bar its 95% interval, from three trainings on. The dashed line is the real-data reference: "
    "the score of real training images under the same protocol.",
    order=10,
)
def score_by_model(data: ReportData) -> Figure | None:
    """Plot the headline metric by model, a panel per protocol."""
    protocols = plotting.scored_protocols(data)
    if not protocols:
        return None
    rows = max(len(data.board(key)) for key in protocols)
    figure, axes = plotting.panels(len(protocols), 9.2, 1.5 + 0.62 * rows, columns=1)
    best = data.reported()
    for ax, key in zip(axes, protocols, strict=True):
        _panel(ax, data, key, best[best["protocol_id"] == key])
    plotting.show_legend(
        figure,
        [
            Line2D([], [], marker="o", linestyle="", color=plotting.GREY, alpha=0.6, label="one training"),
            Line2D([], [], marker="D", color="#1d2129", linewidth=2, label="mean and 95% interval"),
            Line2D([], [], color=plotting.GREY, linestyle=(0, (4, 3)), label="reference: real images"),
        ],
    )
    return figure


def _panel(ax: Axes, data: ReportData, key: str, results: pd.DataFrame) -> None:
    board = data.board(key)
    first = board.iloc[0]
    shown = [float(value) for value in results["value"].dropna()]
    for y, (_, row) in enumerate(board.iterrows()):
        values = sorted(results.loc[results["label"] == row["label"], "value"].dropna())
        plotting.show_values(ax, y, values, 0.16, s=34, color=data.colors[row["label"]])
        _mean(ax, y, row)
    reference = first["real_reference"]
    plotting.scale_axis(ax.xaxis, [*shown, reference])
    plotting.show_models(ax, [_tick(row) for _, row in board.iterrows()], reference)
    ax.set_xlabel(plotting.score_label(first))
    ax.set_title(data.protocol_title(key))


def _mean(ax: Axes, y: int, row: pd.Series[Any]) -> None:
    dark = "#1d2129"
    if row["n"] > 1:
        if pd.notna(row["interval_low"]):
            ax.plot([row["interval_low"], row["interval_high"]], [y, y], color=dark, linewidth=2, zorder=4)
        ax.plot([row["mean"]], [y], marker="D", markersize=5.5, color=dark, zorder=5)


def _tick(row: pd.Series[Any]) -> str:
    count = count_text(int(row["n"]), int(row["n_diverged"]), int(row["n_failed"]))
    return f"{row['label']}\nlr {row['rate']}\n{count}"
