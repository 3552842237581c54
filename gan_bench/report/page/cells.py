"""Cells of the page's tables, which have more than text: values to sort by, badges and interval bars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import pandas as pd

from gan_bench.core.numbers import MISSING
from gan_bench.report.formatting import p_text
from gan_bench.report.page.models import PageModel

Models: TypeAlias = "dict[str, PageModel]"
Row: TypeAlias = "pd.Series[Any]"
BAR = 100
"""Width of an interval bar in its own units."""


@dataclass(frozen=True)
class Bar:
    """An interval bar: its ends and the mean, on a scale of 0 to BAR."""

    low: float
    high: float
    mean: float


@dataclass(frozen=True)
class Cell:
    """A cell of a table."""

    text: str
    value: float | str | None = None
    """What its column is sorted by; None: last."""
    model: PageModel | None = None
    """The model whose swatch and short name the cell has."""
    strong: bool = False
    badges: Sequence[str] = ()
    bar: Bar | None = None
    kind: str = ""
    """A CSS class."""
    note: str = ""
    """Further text in small print."""


@dataclass(frozen=True)
class Column:
    """A column of a table."""

    title: str
    numeric: bool = True
    name: str = ""
    """What a tile refers to it by."""


@dataclass(frozen=True)
class PageTable:
    """A table of cells."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    footer: Sequence[Sequence[str]] = ()
    omitted: int = 0


def sort_value(value: Any) -> float | None:
    """Return what a cell of a number is sorted by; None for a missing one."""
    return None if value is None or pd.isna(value) else float(value)


def p_or_dash(value: Any) -> str:
    """Return a p-value as text; a dash for a missing one."""
    return MISSING if value is None or pd.isna(value) else p_text(float(value))
