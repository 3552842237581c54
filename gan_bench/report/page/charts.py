"""The page's charts as Vega-Lite specs: scores, quality against cost, learning rates, losses."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import altair as alt
import numpy as np
import pandas as pd

from gan_bench.core.numbers import number, rate_text
from gan_bench.report.page.embed import Spec
from gan_bench.report.page.models import PageModel
from gan_bench.report.plots.score_by_time import timed_scores
from gan_bench.report.plotting import LOG_RANGE, MANY_LINES, score_label
from gan_bench.report.report_data import ReportData
from gan_bench.report.tables.leaderboard import lost_trainings

Models: TypeAlias = Mapping[str, PageModel]
Row: TypeAlias = "pd.Series[Any]"

WIDE, HALF = 860, 460
"""Widths of static charts in CSS pixels; the script draws them as wide as the page allows."""
FONT = "system-ui, sans-serif"
FAR = 0.4
"""A reference further away than this share of the models' range is a note at the edge, not a line."""
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
LOG_TICKS = [float(f"{digit}e{power}") for power in range(-6, 10) for digit in (1, 2, 5)]


@dataclass(frozen=True)
class Chart:
    """A chart of the page."""

    name: str
    """Unique on the page."""
    description: str
    """Its content in words, for screen readers."""
    spec: Spec
    width: int = WIDE
    x_titles: Mapping[str, str] | None = None
    """Titles of the fields that its x axis can show; None: its axis is fixed."""
    many: bool = False
    """Whether lines are means over seeds."""
    log: bool | None = None
    """Whether its scores are on a logarithmic axis; None: they can't be."""


def score_axis(data: ReportData, key: str, models: Models, name: str) -> Chart | None:
    """Return each model's trainings, mean and interval on an axis that is scaled to the models."""
    board = data.board(key)
    rows = _trainings(data.reported(), key, models)
    if rows.empty:
        return None
    first = board.iloc[0]
    names = [models[label].name for label in board["label"]]
    means = pd.DataFrame([_mean_row(row, models) for _, row in board.iterrows() if row["n"]])
    ends = [*rows["value"], *means["low"].dropna(), *means["high"].dropna()]
    scale, note, near = _axis(ends, first)
    y = alt.Y("name:N", sort=names, title=None, scale=alt.Scale(domain=names, padding=0.8), axis=_name_axis())
    value = alt.X("value:Q", title=_pointing_title(first), scale=scale, axis=_value_axis(scale))
    color = _color(models, board["label"])
    layers: list[Any] = []
    if near is not None:
        rule = alt.Chart(pd.DataFrame([{"value": near, "text": "real images"}]))
        layers.append(rule.mark_rule(strokeDash=[4, 3], color="var(--soft)").encode(x=value))
        layers.append(_label(rule, dy=-6, color="var(--soft)").encode(x=value, y=alt.value(0), text="text:N"))
    bars = means[means["low"].notna()]
    if len(bars):
        layers.append(
            alt.Chart(bars)
            .mark_rule(strokeWidth=7, opacity=0.3, strokeCap="round")
            .encode(x=alt.X("low:Q", scale=scale), x2="high:Q", y=y, color=color)
        )
    layers.append(
        alt.Chart(rows)
        .mark_point(filled=True, size=70, opacity=0.85)
        .encode(x=value, y=y, color=color, tooltip=_tooltip(first["title"]))
    )
    layers.append(alt.Chart(means).mark_tick(thickness=2, size=20, color="var(--ink)").encode(x=value, y=y))
    layers.append(_label(alt.Chart(means), dy=-17).encode(x=value, y=y, text="text:N"))
    lost = pd.DataFrame([_lost_row(row, models) for _, row in board.iterrows() if lost_trainings(row)])
    if len(lost):
        edge: str | int = "width" if first["better"] == "lower" else 0
        layers.append(
            alt.Chart(lost)
            .mark_text(align="left" if edge == 0 else "right", dy=17, fontSize=11, color="var(--bad)")
            .encode(x=alt.value(edge), y=y, text="text:N")
        )
    spec = _spec(layers, height=max(90, (58 if len(names) < 6 else 44) * len(names)), title=note)
    words = "; ".join(f"{row['name']} {row['text']}" for _, row in means.iterrows())
    return Chart(name, f"{first['title']} of every training, by model: {words}.", spec, HALF + 60)


def quality(data: ReportData, key: str, models: Models, name: str) -> Chart | None:
    """Return the score during training against its time, epochs or steps, a line per training."""
    timed = timed_scores(data)
    timed = timed[timed["protocol_id"] == key]
    if timed.groupby("run_id").size().max() in (1, np.nan) or timed.empty:
        return None
    many = timed["run_id"].nunique() > MANY_LINES
    if many:
        timed = timed.groupby(["label", "epoch"], as_index=False)[["seconds", "step", "value"]].mean()
        timed = timed.assign(run_id=timed["label"], seed=0)
    unit, factor = _time_unit(float(timed["seconds"].max()))
    rows = timed.assign(
        seconds=(timed["seconds"] / factor).map(_rounded),
        value=timed["value"].map(_rounded),
        name=timed["label"].map(lambda label: models[label].name),
        m=timed["label"].map(lambda label: models[label].index),
        run=pd.factorize(timed["run_id"])[0],
    )
    last = rows.groupby("run")["epoch"].transform("max") == rows["epoch"]
    rows = rows.assign(end=last)
    first = data.board(key).iloc[0]
    log = _is_wide(rows["value"])
    titles = {"seconds": f"training time [{unit}]", "epoch": "epoch", "step": "step"}
    x = alt.X(
        "seconds:Q",
        title=titles["seconds"],
        axis=alt.Axis(tickCount=8, format=",~r"),
        scale=alt.Scale(zero=False, nice=False, padding=12),
    )
    y = alt.Y("value:Q", title=score_label(first), scale=_scale(log), axis=_value_axis(_scale(log)))
    columns = ["m", "name", "run", "seed", "seconds", "epoch", "step", "value", "end"]
    base = _shown(alt.Chart(rows[columns])).encode(
        x=x, y=y, color=_color(models, timed["label"].unique()), detail="run:N"
    )
    tooltip = [
        alt.Tooltip("name:N", title="model"),
        *([] if many else [alt.Tooltip("seed:N", title="seed")]),
        alt.Tooltip("value:Q", title=first["title"], format=",.4~g"),
        alt.Tooltip("epoch:Q", title="epoch"),
        alt.Tooltip("step:Q", title="step", format=",d"),
        alt.Tooltip("seconds:Q", title=f"time [{unit}]", format=",.3~g"),
    ]
    layers = [
        base.mark_line(strokeWidth=1.6, opacity=0.8),
        base.mark_point(filled=True, opacity=0.9, tooltip=True).encode(
            size=alt.condition("datum.end", alt.value(70), alt.value(16)), tooltip=tooltip
        ),
    ]
    words = f"{first['title']} during training, a line for each {'model' if many else 'training'}."
    return Chart(name, words, _spec(layers, height=330), WIDE, titles, many, log)


def rates(data: ReportData, key: str, models: Models, name: str) -> Chart | None:
    """Return the score at each learning rate, every training a point; None for a single rate."""
    rows = data.training_scores[data.training_scores["protocol_id"] == key]
    order = [rate_text(*pair) for pair in sorted(set(zip(rows["lr_g"], rows["lr_d"], strict=True)))]
    if len(order) < 2 or rows["value"].notna().sum() == 0:
        return None
    table = _trainings(rows, key, models, scored=False)
    log = _is_wide(table["value"].dropna())
    first = data.board(key).iloc[0]
    x = alt.X("rate:N", sort=order, title="learning rate", axis=alt.Axis(labelAngle=0, labelOverlap=True))
    y = alt.Y("value:Q", title=score_label(first), scale=_scale(log), axis=_value_axis(_scale(log)))
    labels = list(dict.fromkeys(rows["label"]))
    names = [model.name for model in models.values() if model.label in labels]
    offset = alt.XOffset("name:N", sort=names, scale=alt.Scale(domain=names, paddingOuter=0.4))
    color = _color(models, labels)
    scored = table[table["value"].notna()]
    means = scored.groupby(["m", "name", "rate"], as_index=False)["value"].mean()
    layers: list[Any] = [
        _shown(alt.Chart(scored))
        .mark_point(filled=True, size=60, opacity=0.8)
        .encode(x=x, xOffset=offset, y=y, color=color, tooltip=_tooltip(first["title"])),
        _shown(alt.Chart(means)).mark_tick(thickness=2, size=22).encode(x=x, xOffset=offset, y=y, color=color),
    ]
    lost = table[table["status"].isin(["diverged", "failed"])]
    if len(lost):
        layers.append(
            _shown(alt.Chart(lost))
            .mark_text(text="✕", fontSize=13, dy=8)
            .encode(
                x=x, xOffset=offset, y=alt.value(0), color=color, tooltip=_tooltip(first["title"], status=True)
            )
        )
    words = f"{first['title']} of every training at each of {len(order)} learning rates."
    return Chart(name, words, _spec(layers, height=300), WIDE, log=log)


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
        **{column: epochs[column].map(_rounded) for column in columns},
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
    color = _color(models, epochs["label"].unique())
    tooltip = [
        alt.Tooltip("name:N", title="model"),
        *([] if many else [alt.Tooltip("seed:N", title="seed")]),
        alt.Tooltip("epoch:Q", title="epoch"),
        alt.Tooltip("value:Q", title="accuracy" if accuracy else "loss", format=",.4~g"),
    ]
    base = _shown(alt.Chart(values)).encode(x=x, y=y, color=color, detail="run:N")
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
            _shown(alt.Chart(outside))
            .mark_text(fontSize=11, dy=alt.expr("datum.beyond == '▲' ? 5 : -5"))
            .encode(x=x, y=y, color=color, text="beyond:N", tooltip=tooltip)
        )
    return Chart(name, f"{title}.", _spec(layers, height=210, title=title), HALF)


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


def _trainings(rows: pd.DataFrame, key: str, models: Models, scored: bool = True) -> pd.DataFrame:
    """Return the trainings of a protocol as rows of a chart."""
    own = rows[(rows["protocol_id"] == key) & (rows["value"].notna() | (not scored))]
    return pd.DataFrame(
        {
            "m": [models[label].index for label in own["label"]],
            "name": [models[label].name for label in own["label"]],
            "seed": own["seed"].to_numpy(),
            "rate": [rate_text(g, d) for g, d in zip(own["lr_g"], own["lr_d"], strict=True)],
            "status": own["status"].to_numpy(),
            "value": own["value"].map(_rounded).to_numpy(),
        }
    )


def _mean_row(row: Row, models: Models) -> dict[str, Any]:
    return {
        "name": models[row["label"]].name,
        "m": models[row["label"]].index,
        "value": row["mean"],
        "low": row["interval_low"],
        "high": row["interval_high"],
        "text": f"mean {number(row['mean'])}" if row["n"] > 1 else number(row["mean"]),
    }


def _lost_row(row: Row, models: Models) -> dict[str, Any]:
    lost = [f"{int(row[f'n_{status}'])} {status}" for status in ("diverged", "failed") if row[f"n_{status}"]]
    return {"name": models[row["label"]].name, "text": f"✕ {', '.join(lost)} of {int(row['n_runs'])}"}


def _axis(values: Sequence[float], row: Row) -> tuple[alt.Scale, str, float | None]:
    """Return the scale of the models' scores, a note on real images that are far off it, or else their score."""
    low, high = min(values), max(values)
    log = _is_wide(values)
    span = (high - low) or abs(high) * 0.5 or 1.0
    reference = row["real_reference"]
    near, note = None, ""
    if reference is not None and not pd.isna(reference):
        reach = (low / LOG_RANGE**0.5, high * LOG_RANGE**0.5) if log else (low - FAR * span, high + FAR * span)
        if reach[0] <= reference <= reach[1]:
            near = float(reference)
            low, high = min(low, near), max(high, near)
        else:
            text = f"real images score {number(float(reference))}, off this axis"
            note = f"◂ {text}" if reference < low else f"{text} ▸"
    if log:
        return alt.Scale(type="log", domain=[low * 0.8, high * 1.3], nice=False), note, near
    pad = 0.08 * (high - low) or span / 2
    return alt.Scale(domain=[low - pad, high + pad], nice=False, zero=False), note, near


def _pointing_title(row: Row) -> str:
    arrow = "← better" if row["better"] == "lower" else "better →"
    return f"{row['title']} ({arrow})"


def _scale(log: bool) -> alt.Scale:
    return alt.Scale(type="log", nice=False, padding=12) if log else alt.Scale(zero=False, nice=True, padding=8)


def _value_axis(scale: alt.Scale) -> alt.Axis:
    if scale.to_dict().get("type") == "log":
        return alt.Axis(format=",.3~r", values=LOG_TICKS, labelOverlap="greedy")
    return alt.Axis(format=",~r", tickCount=6, labelOverlap="greedy")


def _name_axis() -> alt.Axis:
    return alt.Axis(labelLimit=170, ticks=False, domain=False, labelPadding=8, grid=True)


def _is_wide(values: Iterable[float]) -> bool:
    found = [float(value) for value in values if math.isfinite(value)]
    return bool(found) and min(found) > 0 and max(found) / min(found) >= LOG_RANGE


def _time_unit(seconds: float) -> tuple[str, float]:
    for unit, factor in (("h", 3600.0), ("min", 60.0)):
        if seconds >= 3 * factor:
            return unit, factor
    return "s", 1.0


def _rounded(value: float) -> float:
    """Return a value with five significant digits: what a chart can show."""
    return float(f"{value:.5g}")


def _color(models: Models, labels: Iterable[str]) -> alt.Color:
    shown = sorted((models[label] for label in labels), key=lambda model: model.index)
    scale = alt.Scale(domain=[model.index for model in shown], range=[model.color for model in shown])
    return alt.Color("m:N", scale=scale, legend=None)


def _tooltip(title: str, status: bool = False) -> list[alt.Tooltip]:
    last = (
        alt.Tooltip("status:N", title="outcome") if status else alt.Tooltip("value:Q", title=title, format=",.4~g")
    )
    columns = (("name", "model"), ("seed", "seed"), ("rate", "learning rate"))
    return [*(alt.Tooltip(f"{name}:N", title=text) for name, text in columns), last]


def _label(chart: alt.Chart, dy: int, color: str = "var(--ink)") -> Any:
    return chart.mark_text(dy=dy, fontSize=12, fontWeight="bold", color=color)


def _shown(chart: alt.Chart) -> Any:
    """Leave out models that the reader has hidden: the script sets the signal `hidden`."""
    return chart.transform_filter("indexof(hidden, datum.m) < 0")


def _spec(layers: Sequence[Any], height: int, title: str = "") -> Spec:
    """Return layers as a Vega-Lite spec in the page's style."""
    chart = alt.layer(*layers).properties(height=height).add_params(alt.param(name="hidden", value=[]))
    if title:
        end = title.endswith("▸")
        shown = alt.Title(title, anchor="end" if end else "start", frame="group", offset=10)
        chart = chart.properties(title=shown)
    spec = chart.to_dict()
    return {**spec, "config": CONFIG, "autosize": {"type": "fit-x", "contains": "padding"}}


CONFIG: Spec = {
    "background": "transparent",
    "font": FONT,
    "aria": False,
    "view": {"stroke": None},
    "title": {"fontSize": 12, "fontWeight": "normal", "color": "var(--soft)"},
    "axis": {
        "labelColor": "var(--soft)",
        "titleColor": "var(--soft)",
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "gridColor": "var(--line)",
        "domainColor": "var(--line)",
        "tickColor": "var(--line)",
    },
    "axisX": {"grid": True, "titleAnchor": "end", "titlePadding": 8},
    "axisY": {"titleAlign": "left", "titleAngle": 0, "titleAnchor": "end", "titleX": -30, "titleY": -12},
}
