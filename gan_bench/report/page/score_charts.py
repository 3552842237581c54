"""Charts of scores as Vega-Lite specs: by model, against cost, and by learning rate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from gan_bench.core.numbers import number, rate_text
from gan_bench.report.page.chart_parts import (
    HALF,
    WIDE,
    Chart,
    Models,
    Row,
    is_wide,
    layered_spec,
    model_color,
    rounded,
    score_scale,
    thinned,
    value_axis,
    without_hidden,
)
from gan_bench.report.plotting import LOG_RANGE, MANY_LINES, score_label
from gan_bench.report.report_data import ReportData
from gan_bench.report.tables.leaderboard import lost_trainings
from gan_bench.report.tables.time_to_score import timed_scores

FAR = 0.4
"""A reference further away than this share of the models' range is a note at the edge, not a line."""


def score_axis(data: ReportData, key: str, models: Models, name: str) -> Chart | None:
    """Return each model's trainings, mean and interval on an axis that is scaled to the models."""
    board = data.board(key)
    every = _trainings(data.reported(), key, models)
    if every.empty:
        return None
    rows, left_out = thinned(every)
    first = board.iloc[0]
    names = [models[label].name for label in board["label"]]
    means = pd.DataFrame([_mean_row(row, models) for _, row in board.iterrows() if row["n"]])
    ends = [*every["value"], *means["low"].dropna(), *means["high"].dropna()]
    scale, note, near = _axis(ends, first)
    y = alt.Y("name:N", sort=names, title=None, scale=alt.Scale(domain=names, padding=0.8), axis=_name_axis())
    value = alt.X("value:Q", title=_pointing_title(first), scale=scale, axis=value_axis(scale))
    color = model_color(models, board["label"])
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
    spec = layered_spec(layers, height=max(90, (58 if len(names) < 6 else 44) * len(names)), title=note)
    words = "; ".join(f"{row['name']} {row['text']}" for _, row in means.iterrows())
    return Chart(name, f"{first['title']} of every training, by model: {words}.{left_out}", spec, HALF + 60)


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
        seconds=(timed["seconds"] / factor).map(rounded),
        value=timed["value"].map(rounded),
        name=timed["label"].map(lambda label: models[label].name),
        m=timed["label"].map(lambda label: models[label].index),
        run=pd.factorize(timed["run_id"])[0],
    )
    last = rows.groupby("run")["epoch"].transform("max") == rows["epoch"]
    rows = rows.assign(end=last)
    first = data.board(key).iloc[0]
    log = is_wide(rows["value"])
    titles = {"seconds": f"training time [{unit}]", "epoch": "epoch", "step": "step"}
    x = alt.X(
        "seconds:Q",
        title=titles["seconds"],
        axis=alt.Axis(tickCount=8, format=",~r"),
        scale=alt.Scale(zero=False, nice=False, padding=12),
    )
    y = alt.Y("value:Q", title=score_label(first), scale=score_scale(log), axis=value_axis(score_scale(log)))
    columns = ["m", "name", "run", "seed", "seconds", "epoch", "step", "value", "end"]
    base = without_hidden(alt.Chart(rows[columns])).encode(
        x=x, y=y, color=model_color(models, timed["label"].unique()), detail="run:N"
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
    return Chart(name, words, layered_spec(layers, height=330), WIDE, titles, many, log)


def rates(data: ReportData, key: str, models: Models, name: str) -> Chart | None:
    """Return the score at each learning rate, every training a point; None for a single rate."""
    rows = data.training_scores[data.training_scores["protocol_id"] == key]
    order = [rate_text(*pair) for pair in sorted(set(zip(rows["lr_g"], rows["lr_d"], strict=True)))]
    if len(order) < 2 or rows["value"].notna().sum() == 0:
        return None
    table = _trainings(rows, key, models, scored=False)
    log = is_wide(table["value"].dropna())
    first = data.board(key).iloc[0]
    x = alt.X("rate:N", sort=order, title="learning rate", axis=alt.Axis(labelAngle=0, labelOverlap=True))
    y = alt.Y("value:Q", title=score_label(first), scale=score_scale(log), axis=value_axis(score_scale(log)))
    labels = list(dict.fromkeys(rows["label"]))
    names = [model.name for model in models.values() if model.label in labels]
    offset = alt.XOffset("name:N", sort=names, scale=alt.Scale(domain=names, paddingOuter=0.4))
    color = model_color(models, labels)
    every = table[table["value"].notna()]
    means = every.groupby(["m", "name", "rate"], as_index=False)["value"].mean()
    scored, left_out = thinned(every)
    layers: list[Any] = [
        without_hidden(alt.Chart(scored))
        .mark_point(filled=True, size=60, opacity=0.8)
        .encode(x=x, xOffset=offset, y=y, color=color, tooltip=_tooltip(first["title"])),
        without_hidden(alt.Chart(means))
        .mark_tick(thickness=2, size=22)
        .encode(x=x, xOffset=offset, y=y, color=color),
    ]
    lost, _ = thinned(table[table["status"].isin(["diverged", "failed"])])
    if len(lost):
        layers.append(
            without_hidden(alt.Chart(lost))
            .mark_text(text="✕", fontSize=13, dy=8)
            .encode(
                x=x, xOffset=offset, y=alt.value(0), color=color, tooltip=_tooltip(first["title"], status=True)
            )
        )
    words = f"{first['title']} of every training at each of {len(order)} learning rates.{left_out}"
    return Chart(name, words, layered_spec(layers, height=300), WIDE, log=log)


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
            "value": own["value"].map(rounded).to_numpy(),
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
    log = is_wide(values)
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


def _name_axis() -> alt.Axis:
    return alt.Axis(labelLimit=170, ticks=False, domain=False, labelPadding=8, grid=True)


def _time_unit(seconds: float) -> tuple[str, float]:
    for unit, factor in (("h", 3600.0), ("min", 60.0)):
        if seconds >= 3 * factor:
            return unit, factor
    return "s", 1.0


def _tooltip(title: str, status: bool = False) -> list[alt.Tooltip]:
    last = (
        alt.Tooltip("status:N", title="outcome") if status else alt.Tooltip("value:Q", title=title, format=",.4~g")
    )
    columns = (("name", "model"), ("seed", "seed"), ("rate", "learning rate"))
    return [*(alt.Tooltip(f"{name}:N", title=text) for name, text in columns), last]


def _label(chart: alt.Chart, dy: int, color: str = "var(--ink)") -> Any:
    return chart.mark_text(dy=dy, fontSize=12, fontWeight="bold", color=color)
