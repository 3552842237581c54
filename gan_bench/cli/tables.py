"""Results on stdout: tables for people, JSON lines for programs."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gan_bench.errors import printable

if TYPE_CHECKING:
    from gan_bench.record import StoredRun

NARROWEST = 170
LESS_NEEDED = ("px", "s/epoch", "classes", "IS", "precision", "recall")
"""Columns of the table of runs that a narrow terminal does without; the report has them all."""


def console() -> Console:
    """Return the console for results; where there is no terminal it is wide enough for every table."""
    plain = Console(highlight=False, emoji=False)
    return plain if plain.is_terminal else Console(highlight=False, emoji=False, width=max(NARROWEST, plain.width))


def print_rows(
    rows: Sequence[Mapping[str, Any]], *, as_json: bool, title: str = "", optional: Sequence[str] = ()
) -> None:
    """Print rows with equal keys as a table, numbers to the right; or each as a JSON object on its line.

    Columns named in `optional` are left out, the first of them first, where the terminal is too narrow.
    """
    if as_json:
        for row in rows:
            print_json(row)
        return
    if not rows:
        return
    screen, spare = console(), list(optional)
    keys = list(rows[0])
    while spare and screen.measure(_table(rows, keys, title)).maximum >= screen.width:
        keys.remove(spare.pop(0))
    screen.print(_table(rows, keys, title))


def _table(rows: Sequence[Mapping[str, Any]], keys: Sequence[str], title: str) -> Table:
    table = Table(
        box=box.SIMPLE_HEAD, title=title or None, title_justify="left", title_style="bold", pad_edge=False
    )
    for key in keys:
        numeric = all(isinstance(row[key], (int, float)) or row[key] in ("", None) for row in rows)
        table.add_column(key, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(_text(row[key])) for key in keys))  # as it is: brackets are no markup
    return table


def print_json(values: Mapping[str, Any]) -> None:
    """Print one JSON object on its line; what JSON has no word for (NaN, infinity) becomes null."""
    click.echo(json.dumps(_plain(values), allow_nan=False))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value


def _text(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else one_line(str(value))


def one_line(text: str) -> str:
    """Return text as one line that a terminal shows and does not obey."""
    return printable(" ".join(text.split()))


def tell(text: str) -> None:
    """Say something on stderr; it may come out of anybody's folder."""
    click.echo(printable(text), err=True)


def run_rows(runs: Sequence[StoredRun]) -> list[dict[str, Any]]:
    """Return one row a run for the table that ends `gan-bench run`."""
    from gan_bench.report.frame import primary_scores, rate_text

    rows = []
    for run in sorted(runs, key=lambda run: (run.spec.label, run.spec.lr_g, run.spec.lr_d, run.spec.seed)):
        scores = primary_scores(run)
        value = {name: score.value for name, score in scores.items()} if run.record.status == "done" else {}
        rows.append(
            {
                "model": run.spec.label,
                "px": run.spec.image_size,
                "lr": rate_text(run.spec.lr_g, run.spec.lr_d),
                "seed": run.spec.seed,
                "status": run.record.status,
                "verdict": run.record.verdict,
                "FID": value.get("fid"),
                "IS": value.get("inception_score_mean"),
                "precision": value.get("precision"),
                "recall": value.get("recall"),
                "classes": value.get("modes_covered"),
                "s/epoch": run.epoch_seconds_median,
                "train s": run.record.train_seconds,
            }
        )
    return rows


def print_runs(runs: Sequence[StoredRun], page: Path) -> None:
    """Print the runs' scores and costs, what they show, and where the report lies."""
    from gan_bench.report.data import report_data
    from gan_bench.report.story import conclusions, warning

    print_rows(run_rows(runs), as_json=False, optional=LESS_NEEDED)
    data, screen = report_data(runs), console()
    for line in filter(None, [warning(data), *(conclusions(data, data.protocols[0]) if data.protocols else [])]):
        screen.print(line, markup=False, soft_wrap=not screen.is_terminal)  # names and titles are anybody's
    click.echo(f"\nReport: {page}")
