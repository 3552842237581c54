"""Score against learning rate."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gan_bench.core.numbers import rate_text
from gan_bench.report import plotting
from gan_bench.report.plots.base import plot
from gan_bench.report.report_data import ReportData


@plot(
    "score_by_rate",
    title="Score by learning rate",
    caption="Points are single trainings, lines connect their means. A cross at the top marks a training that "
    "diverged and has no score. Different rates of generator and discriminator are written G:D.",
    order=40,
)
def score_by_rate(data: ReportData) -> Figure | None:
    """Plot the headline metric by learning rate, a panel per protocol with several rates."""
    protocols = [key for key in plotting.scored_protocols(data) if len(_rates(data, key)) > 1]
    if not protocols:
        return None
    figure, axes = plotting.panels(len(protocols), 9.2 if len(protocols) == 1 else 4.6, 3.6)
    for ax, key in zip(axes, protocols, strict=True):
        _panel(ax, data, key)
    shown = data.training_scores[data.training_scores["protocol_id"].isin(protocols)]
    handles = plotting.label_handles(data, sorted(shown["label"].unique()), marker="o", markersize=5)
    if (shown["status"] == "diverged").any():
        handles.append(Line2D([], [], color=plotting.GREY, marker="x", linestyle="", label="diverged"))
    plotting.show_legend(figure, handles)
    return figure


def _rates(data: ReportData, key: str) -> list[tuple[float, float]]:
    rows = data.training_scores[data.training_scores["protocol_id"] == key]
    return sorted(set(zip(rows["lr_g"], rows["lr_d"], strict=True)))


def _panel(ax: Axes, data: ReportData, key: str) -> None:
    rows = data.training_scores[data.training_scores["protocol_id"] == key]
    rates = _rates(data, key)
    position = {rate: index for index, rate in enumerate(rates)}
    rows = rows.assign(x=[float(position[rate]) for rate in zip(rows["lr_g"], rows["lr_d"], strict=True)])
    labels = sorted(rows["label"].unique())
    width = 0.5 / max(len(labels), 1)
    for index, label in enumerate(labels):
        own = rows[rows["label"] == label]
        _line(ax, own.assign(x=own["x"] + width * (index - (len(labels) - 1) / 2)), data.colors[label], width)
    first = data.board(key).iloc[0]
    plotting.scale_axis(ax.yaxis, rows["value"].dropna())
    ax.set_xticks(range(len(rates)), [rate_text(*rate) for rate in rates], rotation=45 if len(rates) > 6 else 0)
    ax.set_xlim(-0.5, len(rates) - 0.5)
    ax.grid(visible=False, axis="x")
    ax.margins(y=0.12)
    ax.set_xlabel("learning rate")
    ax.set_ylabel(plotting.score_label(first))
    ax.set_title(data.protocol_title(key, two_lines=True), fontsize=9.5)


def _line(ax: Axes, own: pd.DataFrame, color: str, width: float) -> None:
    scored = own[own["value"].notna()].sort_values(["x", "value"])
    means = scored.groupby("x")["value"].mean()
    ax.plot(means.index, means.to_numpy(), color=color, linewidth=2, zorder=3)
    for x, group in scored.groupby("x"):
        positions = [float(x) + offset for offset in plotting.spread(len(group), width * 0.25)]  # type: ignore[arg-type]
        ax.scatter(positions, group["value"], s=26, color=color, alpha=0.65, linewidths=0, zorder=4)
    diverged = own.loc[own["status"] == "diverged", "x"]
    top = [0.965] * len(diverged)
    ax.scatter(diverged, top, marker="x", s=36, color=color, transform=ax.get_xaxis_transform(), zorder=5)
