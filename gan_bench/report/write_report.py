"""Write a report folder: tables, plots, the HTML page and its Markdown version."""

from __future__ import annotations

import io
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from gan_bench.core.errors import InputError
from gan_bench.core.files import inside, remove_temporary, write_bytes, write_error
from gan_bench.core.records import LeftOut, StoredRun
from gan_bench.report.csv_text import csv_bytes
from gan_bench.report.page.latex import render_latex
from gan_bench.report.page.render import render_html, render_markdown
from gan_bench.report.plots.base import plots
from gan_bench.report.plotting import DATASET_SEPARATOR, RenderedPlot, render_plots
from gan_bench.report.report_data import report_data
from gan_bench.report.tables.time_to_score import time_to_score


@dataclass(frozen=True)
class ReportPaths:
    """Paths of a report's files."""

    folder: Path
    runs_csv: Path
    runs_parquet: Path
    scores_csv: Path
    summary_csv: Path
    leaderboard_csv: Path
    time_to_score_csv: Path
    markdown: Path
    latex: Path
    page: Path
    plots: Sequence[Path]
    leaderboard: Sequence[Mapping[str, Any]]
    """The rows of leaderboard.csv as they were computed: texts are texts."""


def write_files(runs: Sequence[StoredRun], out: Path, left_out: Sequence[LeftOut] = ()) -> ReportPaths:
    """Write every file of the report into `out`, each atomically; equal runs give equal bytes.

    `left_out` are the damaged runs of the folder, which the page names. Plots of an earlier report that no longer
    apply are deleted, and so are the incomplete files of a report that was killed. Raises InputError without runs,
    or where a link leads out of the folder that contains `out`; RunError where the file system refuses.
    """
    _check_links(out)
    data = report_data(runs, left_out)
    rendered = render_plots(data)
    parquet = io.BytesIO()
    _uniform_settings(data.runs).to_parquet(parquet, index=False)
    _make_folder(out / "plots")
    for folder in (out, out / "plots"):
        remove_temporary(folder)
    return ReportPaths(
        folder=out,
        runs_csv=write_bytes(out / "runs.csv", csv_bytes(data.runs)),
        runs_parquet=write_bytes(out / "runs.parquet", parquet.getvalue()),
        scores_csv=write_bytes(out / "scores.csv", csv_bytes(data.scores)),
        summary_csv=write_bytes(out / "summary.csv", csv_bytes(data.summary)),
        leaderboard_csv=write_bytes(out / "leaderboard.csv", csv_bytes(data.leaderboard)),
        time_to_score_csv=write_bytes(out / "time_to_score.csv", csv_bytes(time_to_score(data, data.protocols))),
        plots=_write_plots(rendered, out / "plots"),
        markdown=write_bytes(out / "report.md", render_markdown(data, rendered).encode()),
        latex=write_bytes(out / "report.tex", render_latex(data).encode()),
        leaderboard=[{str(key): value for key, value in row.items()} for row in _rows(data.leaderboard)],
        page=write_bytes(out / "index.html", render_html(data, rendered).encode()),
    )


def _rows(frame: pd.DataFrame) -> list[dict[Hashable, Any]]:
    """Return the rows of a frame; missing values are None."""
    return frame.astype(object).where(frame.notna(), None).to_dict(orient="records")


def _uniform_settings(runs: pd.DataFrame) -> pd.DataFrame:
    """Return runs with settings of mixed types as text: a Parquet column has one type."""
    texts = {}
    for name in runs.columns:
        column = runs[name]
        if name.startswith("setting_") and column.dtype == object:
            kinds = {type(value) for value in column.dropna()}
            if kinds not in ({bool}, {str}):
                texts[name] = column.map(str, na_action="ignore")
    return runs.assign(**texts)


def _check_links(out: Path) -> None:
    """Raise InputError for a link out of the results folder, which may have come with others' results."""
    for folder in (out, out / "plots"):
        if not inside(folder, out.parent):
            raise InputError(f"{folder}: a link that leads out of the results folder; remove it and report again")


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(folder, error) from error


def _write_plots(rendered: Sequence[RenderedPlot], folder: Path) -> list[Path]:
    written = []
    for plot in rendered:
        written.append(write_bytes(folder / f"{plot.name}.png", plot.png))
        written.append(write_bytes(folder / f"{plot.name}.svg", plot.svg))
    for name in plots.names():
        for kind in ("png", "svg"):
            own = {folder / f"{name}.{kind}", *folder.glob(f"{name}{DATASET_SEPARATOR}*.{kind}")}
            for stale in own - set(written):
                try:
                    stale.unlink(missing_ok=True)
                except OSError as error:
                    raise write_error(stale, error) from error
    return written
