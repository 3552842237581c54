"""Charts of losses and of the discriminator's accuracy as Vega-Lite specs."""

from __future__ import annotations

import math
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from gan_bench.core.numbers import number
from gan_bench.report.page.chart_parts import (
    HALF,
    Chart,
    Models,
    layered_spec,
    model_color,
    rounded,
    without_hidden,
)
from gan_bench.report.plotting import MANY_LINES
from gan_bench.report.report_data import ReportData

MAX_POINTS = 40
"""Epochs of a line at most."""
CLIP_AT = 4.0
"""Losses are clipped where the largest is this many times their 97th percentile."""
NEAR = 1.5
BALANCE = {
    "bce": (2 * math.log(2), math.log(2)),
    "minimax": (2 * math.log(2), -math.log(2)),
    "hinge": (2.0, 0.0),
    "lsgan": (0.25, 0.125),
    "ragan": (2 * math.log(2), 2 * math.log(2)),
    "relativistic": (math.log(2), math.log(2)),
}
"""Losses of D and of G where D can't tell real from generated images: equal logits on its boundary."""
LOSS_PANELS = (
    ("d_loss", "Discriminator loss"),
    ("g_loss", "Generator loss"),
    ("d_real_accuracy", "D accuracy, real"),
    ("d_fake_accuracy", "D accuracy, generated"),
)


def losses(data: ReportData, models: Models, name: str) -> list[Chart]:
    """Return losses and accuracies of D over epochs, with the values at balance and outliers clipped."""
    if data.epochs.empty:
        return []
    epochs, many = _loss_rows(data, models)
    used = {(run.spec.loss, run.spec.penalty) for run in data.stored}
    loss, penalty = next(iter(used)) if len(used) == 1 else ("", "")
    known = BALANCE.get(loss) if penalty == "none" else None
    balance = dict(zip(("d_loss", "g_loss"), known or (None, None), strict=True))
    return [
        _loss_chart(epochs, models, column, title, balance.get(column, 0.5), f"{name}-{column}", many)
        for column, title in LOSS_PANELS
    ]


def _loss_rows(data: ReportData, models: Models) -> tuple[pd.DataFrame, bool]:
    """Return the epochs to draw: of reported trainings, or their means for each model where there are many."""
    epochs = data.epochs.replace([np.inf, -np.inf], np.nan)
    columns = [column for column, _ in LOSS_PANELS]
    reported = epochs[epochs["run_id"].isin(set(data.reported()["run_id"]))]
    epochs = reported if len(reported) else epochs
    many = epochs["run_id"].nunique() > MANY_LINES
    if many:
        epochs = epochs.groupby(["label", "epoch"], as_index=False)[columns].mean()
        epochs = epochs.assign(run_id=epochs["label"], seed=0)
    thin = max(1, math.ceil(int(epochs["epoch"].max()) / MAX_POINTS))
    last = epochs.groupby("run_id")["epoch"].transform("max") == epochs["epoch"]
    epochs = epochs[(epochs["epoch"] % thin == 0) | last]
    return epochs.assign(
        name=epochs["label"].map(lambda label: models[label].name),
        m=epochs["label"].map(lambda label: models[label].index),
        run=pd.factorize(epochs["run_id"])[0],
        **{column: epochs[column].map(rounded) for column in columns},
    ), many


def _loss_chart(
    epochs: pd.DataFrame, models: Models, column: str, title: str, balance: float | None, name: str, many: bool
) -> Chart:
    values = epochs[["m", "name", "run", "seed", "epoch", column]].rename(columns={column: "value"})
    accuracy = column.endswith("accuracy")
    low, high = (0.0, 1.0) if accuracy else _clip(values["value"], balance)
    values = values.assign(
        shown=values["value"].clip(low, high), beyond=np.where(values["value"] > high, "▲", "▼")
    )
    outside = values[(values["value"] > high) | (values["value"] < low)]
    scale = alt.Scale(domain=[low, high], nice=not accuracy, zero=False)
    x = alt.X("epoch:Q", title="epoch", axis=alt.Axis(tickMinStep=1), scale=alt.Scale(zero=False, nice=False))
    y = alt.Y("shown:Q", title="accuracy" if accuracy else "loss", scale=scale)
    color = model_color(models, epochs["label"].unique())
    tooltip = [
        alt.Tooltip("name:N", title="model"),
        *([] if many else [alt.Tooltip("seed:N", title="seed")]),
        alt.Tooltip("epoch:Q", title="epoch"),
        alt.Tooltip("value:Q", title="accuracy" if accuracy else "loss", format=",.4~g"),
    ]
    base = without_hidden(alt.Chart(values)).encode(x=x, y=y, color=color, detail="run:N")
    layers: list[Any] = [
        base.mark_line(strokeWidth=1.5, opacity=0.8),
        base.mark_point(filled=True, size=40, opacity=1 if epochs["epoch"].nunique() == 1 else 0).encode(
            tooltip=tooltip
        ),
    ]
    if balance is not None and low <= balance <= high:
        line = alt.Chart(pd.DataFrame([{"shown": balance}]))
        layers.append(line.mark_rule(strokeDash=[4, 3], color="var(--ink)").encode(y=y))
        title += f" (dashed: balance, {number(balance)})"
    elif balance is not None:
        title += f" (balance: {number(balance)}, off this axis)"
    if len(outside):
        layers.append(
            without_hidden(alt.Chart(outside))
            .mark_text(fontSize=11, dy=alt.expr("datum.beyond == '▲' ? 5 : -5"))
            .encode(x=x, y=y, color=color, text="beyond:N", tooltip=tooltip)
        )
    return Chart(name, f"{title}.", layered_spec(layers, height=210, title=title), HALF)


def _clip(values: pd.Series[Any], balance: float | None) -> tuple[float, float]:
    """Return the limits of an axis of losses: a diverging training does not flatten all others.

    The balance is within them unless it is further away than NEAR times their distance.
    """
    found = values.dropna()
    if found.empty:
        return 0.0, 1.0
    low, high = float(found.min()), float(found.max())
    if len(found) > 4:
        inner_low, inner_high = (float(found.quantile(q)) for q in (0.03, 0.97))
        span = max(inner_high - inner_low, 1e-9)
        high = min(high, inner_high + CLIP_AT * span)
        low = max(low, inner_low - CLIP_AT * span)
    if high <= low:
        low, high = low - 0.5, high + 0.5
    if balance is not None and low - NEAR * (high - low) <= balance <= high + NEAR * (high - low):
        low, high = min(low, balance), max(high, balance)
    return low, high
