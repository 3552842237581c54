"""Parts that the page's charts share: their style, scales, axes, and the colors of models."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import altair as alt
import numpy as np
import pandas as pd

from gan_bench.report.page.embed import Spec
from gan_bench.report.page.models import PageModel
from gan_bench.report.plotting import LOG_RANGE

Models: TypeAlias = Mapping[str, PageModel]
Row: TypeAlias = "pd.Series[Any]"
WIDE, HALF = 860, 460
"""Widths of static charts in CSS pixels; the script draws them as wide as the page allows."""
MAX_POINTS = 2_000
"""Trainings that a chart draws at most; tables and means contain all."""
FONT = "system-ui, sans-serif"
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


def score_scale(log: bool) -> alt.Scale:
    """Return the scale of an axis of scores, which the script can switch."""
    return alt.Scale(type="log", nice=False, padding=12) if log else alt.Scale(zero=False, nice=True, padding=8)


def value_axis(scale: alt.Scale) -> alt.Axis:
    """Return an axis with plain numbers as tick labels."""
    if scale.to_dict().get("type") == "log":
        return alt.Axis(format=",.3~r", values=LOG_TICKS, labelOverlap="greedy")
    return alt.Axis(format=",~r", tickCount=6, labelOverlap="greedy")


def is_wide(values: Iterable[float]) -> bool:
    """Whether values span so wide a range that their axis is logarithmic."""
    found = [float(value) for value in values if math.isfinite(value)]
    return bool(found) and min(found) > 0 and max(found) / min(found) >= LOG_RANGE


def thinned(rows: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Return at most MAX_POINTS rows, evenly spaced in their order, and a sentence if rows are left out."""
    if len(rows) <= MAX_POINTS:
        return rows, ""
    chosen = np.linspace(0, len(rows) - 1, MAX_POINTS).astype(int)
    return rows.iloc[chosen], f" {MAX_POINTS:,} of {len(rows):,} trainings are drawn."


def rounded(value: float) -> float:
    """Return a value with five significant digits: what a chart can show."""
    return float(f"{value:.5g}")


def model_color(models: Models, labels: Iterable[str]) -> alt.Color:
    """Return the encoding of models by the CSS variables of their colors."""
    shown = sorted((models[label] for label in labels), key=lambda model: model.index)
    scale = alt.Scale(domain=[model.index for model in shown], range=[model.color for model in shown])
    return alt.Color("m:N", scale=scale, legend=None)


def without_hidden(chart: alt.Chart) -> Any:
    """Leave out models that the reader has hidden: the script sets the signal `hidden`."""
    return chart.transform_filter("indexof(hidden, datum.m) < 0")


def layered_spec(layers: Sequence[Any], height: int, title: str = "") -> Spec:
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
