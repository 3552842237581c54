"""From stored runs to the report folder: tables, plots, the page and its Markdown twin."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from gan_bench.errors import InputError
from gan_bench.record import StoredRun
from gan_bench.report.data import report_data
from gan_bench.report.files import csv_bytes, write_bytes
from gan_bench.report.page import render_html, render_markdown
from gan_bench.report.plotting import Drawn, draw_all, plots


@dataclass(frozen=True)
class ReportPaths:
    """Where a report's files lie."""

    folder: Path
    runs_csv: Path
    runs_parquet: Path
    scores_csv: Path
    summary_csv: Path
    leaderboard_csv: Path
    markdown: Path
    page: Path
    plots: Sequence[Path]


def write_report(runs: Sequence[StoredRun], out: Path) -> ReportPaths:
    """Write every file of the report into `out`, each atomically, equal bytes for equal runs.

    Raises InputError where there is no run, or a link leads out of the folder that `out` is in. Plots that an
    earlier report left and this one has no use for go.
    """
    _check_links(out)
    data = report_data(runs)
    drawn = draw_all(data)
    parquet = io.BytesIO()
    _one_type_each(data.runs).to_parquet(parquet, index=False)
    return ReportPaths(
        folder=out,
        runs_csv=write_bytes(out / "runs.csv", csv_bytes(data.runs)),
        runs_parquet=write_bytes(out / "runs.parquet", parquet.getvalue()),
        scores_csv=write_bytes(out / "scores.csv", csv_bytes(data.scores)),
        summary_csv=write_bytes(out / "summary.csv", csv_bytes(data.summary)),
        leaderboard_csv=write_bytes(out / "leaderboard.csv", csv_bytes(data.leaderboard)),
        plots=_write_plots(drawn, out / "plots"),
        markdown=write_bytes(out / "report.md", render_markdown(data, drawn).encode()),
        page=write_bytes(out / "index.html", render_html(data, drawn).encode()),
    )


def _one_type_each(runs: pd.DataFrame) -> pd.DataFrame:
    """Return runs with text in each setting that two models take for different types: parquet has one a column."""
    texts = {}
    for name in runs.columns:
        column = runs[name]
        if name.startswith("setting_") and column.dtype == object:
            kinds = {type(value) for value in column.dropna()}
            if kinds not in ({bool}, {str}):
                texts[name] = column.map(str, na_action="ignore")
    return runs.assign(**texts)


def _check_links(out: Path) -> None:
    """Refuse to write through a link that came with somebody's results."""
    for place in (out, out / "plots"):
        if not place.resolve().is_relative_to(out.parent.resolve()):
            raise InputError(f"{place}: a link that leads out of the results folder is not followed; remove it")


def _write_plots(drawn: Sequence[Drawn], folder: Path) -> list[Path]:
    written = []
    for plot in drawn:
        written.append(write_bytes(folder / f"{plot.name}.png", plot.png))
        written.append(write_bytes(folder / f"{plot.name}.svg", plot.svg))
    for name in plots.names():
        for stale in {folder / f"{name}.png", folder / f"{name}.svg"} - set(written):
            stale.unlink(missing_ok=True)
    return written
