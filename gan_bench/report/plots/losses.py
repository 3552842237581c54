"""Losses and the discriminator's accuracy over epochs."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from gan_bench.report.plots.base import plot
from gan_bench.report.plotting import MANY_LINES, label_handles, panels, show_legend
from gan_bench.report.report_data import ReportData

PANELS = (
    ("d_loss", "Discriminator loss"),
    ("g_loss", "Generator loss"),
    ("d_real_accuracy", "D accuracy on real images"),
    ("d_fake_accuracy", "D accuracy on generated images"),
)


@plot(
    "losses",
    title="Losses and discriminator accuracy",
    caption="Means over each epoch's steps, one line per training (mean and range where there are many). Faint "
    "lines are trainings that are not reported, at other rates than the chosen one. Losses show whether a "
    "training is balanced, not how good its images are, and their scale depends on the loss function.",
    order=70,
)
def losses(data: ReportData) -> Figure | None:
    """Plot losses and the discriminator's accuracies over epochs."""
    if data.epochs.empty:
        return None
    epochs = data.epochs.replace([np.inf, -np.inf], np.nan)
    best = set(data.reported()["run_id"])
    many = epochs["run_id"].nunique() > MANY_LINES
    figure, axes = panels(len(PANELS), 4.6, 2.9, sharex=True)
    for ax, (column, title) in zip(axes, PANELS, strict=True):
        if many:
            _bands(ax, data, epochs[epochs["run_id"].isin(best)], column)
        else:
            _lines(ax, data, epochs, column, best)
        _finish(ax, epochs, column, title)
    for ax in axes[2:]:
        ax.set_xlabel("epoch")
    show_legend(figure, label_handles(data, sorted(epochs["label"].unique())))
    return figure


def _lines(ax: Axes, data: ReportData, epochs: pd.DataFrame, column: str, best: set[str]) -> None:
    for label, run_id in epochs[["label", "run_id"]].drop_duplicates().itertuples(index=False):
        own = epochs[epochs["run_id"] == run_id]
        front = run_id in best
        marker = "o" if len(own) == 1 else ""
        ax.plot(
            own["epoch"],
            own[column],
            color=data.colors[label],
            linewidth=1.5 if front else 1,
            alpha=0.85 if front else 0.3,
            marker=marker,
            zorder=4 if front else 3,
        )


def _bands(ax: Axes, data: ReportData, epochs: pd.DataFrame, column: str) -> None:
    for label, own in epochs.groupby("label"):
        found = own.groupby("epoch")[column].agg(["mean", "min", "max"])
        color = data.colors[str(label)]
        ax.fill_between(found.index, found["min"], found["max"], color=color, alpha=0.15, linewidth=0)
        ax.plot(found.index, found["mean"], color=color, linewidth=1.8)


def _finish(ax: Axes, epochs: pd.DataFrame, column: str, title: str) -> None:
    ax.set_title(title)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    if column.endswith("accuracy"):
        ax.set_ylim(-0.02, 1.02)
        ax.set_ylabel("accuracy")
        return
    ax.set_ylabel("loss")
    # A diverging run is clipped, so that it does not flatten all others.
    low, high = float(epochs[column].min()), float(epochs[column].quantile(0.97))
    if np.isfinite(low) and high > low and epochs[column].max() > 4 * high:
        ax.set_ylim(low - 0.05 * (high - low), high * 1.5)
