"""Tables on stdout."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table
from rich.text import Text

from gan_bench.cli.ui.output import console, echo, one_line, print_json

if TYPE_CHECKING:
    from gan_bench.core.records import Score, StoredRun
    from gan_bench.report.report_data import ReportData

SCORE_COLUMNS = {
    "FID": "fid",
    "KID": "kid_mean",
    "IS": "inception_score_mean",
    "precision": "precision",
    "recall": "recall",
    "classes": "modes_covered",
}
"""Scores in the table of runs, where any run has them; the report has all."""
OPTIONAL_COLUMNS = ("px", "s/epoch", "classes", "KID", "IS", "precision", "recall")
"""Columns of the table of runs that are omitted on a narrow terminal, the first one first."""
OPTIONAL_ON_THE_BOARD = (*SCORE_COLUMNS, "s/epoch", "lr")
"""The same of the leaderboard."""
MAX_FLAGGED = 10
"""Runs that are listed with a reason; the page has all."""


def print_rows(
    rows: Sequence[Mapping[str, Any]], *, as_json: bool, title: str = "", optional: Sequence[str] = ()
) -> None:
    """Print rows with equal keys as a table, numbers right-aligned, or as JSON lines.

    Columns named in `optional` are omitted, the first of them first, where the terminal is too narrow.
    """
    if as_json:
        for row in rows:
            print_json(row)
        return
    if not rows:
        return
    screen, keys = console(), list(rows[0])
    spare = [key for key in optional if key in keys]
    while spare and screen.measure(_table(rows, keys, title)).maximum >= screen.width:
        keys.remove(spare.pop(0))
    screen.print(_table(rows, keys, title))


def _table(rows: Sequence[Mapping[str, Any]], keys: Sequence[str], title: str) -> Table:
    table = Table(
        box=box.SIMPLE_HEAD, title=title or None, title_justify="left", title_style="bold", pad_edge=False
    )
    for key in keys:
        numeric = all(isinstance(row[key], (int, float)) or row[key] in ("", None) for row in rows)
        table.add_column(one_line(key), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(_text(row[key])) for key in keys))  # plain text: brackets are not markup
    return table


def _text(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else one_line(str(value))


def run_rows(runs: Sequence[StoredRun], protocols: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Return one row per run for the table of `--runs`, with scores of one protocol if possible.

    That is the first of `protocols`, or else of the report, that scored the run.
    """
    from gan_bench.core.numbers import rate_text
    from gan_bench.report.dataframes import primary_scores, protocol_order

    order = [*protocols, *protocol_order(runs)]
    scores = {run.record.run_id: primary_scores(run, order) for run in runs}
    scored = {key for found in scores.values() for key in found}
    columns = {title: key for title, key in SCORE_COLUMNS.items() if key in scored}
    return [
        {
            "model": run.spec.label,
            "px": run.spec.image_size,
            "lr": rate_text(run.spec.lr_g, run.spec.lr_d),
            "seed": run.spec.seed,
            "status": run.record.status,
            "verdict": run.record.verdict,
            **{title: _value(scores[run.record.run_id].get(key)) for title, key in columns.items()},
            "s/epoch": run.epoch_seconds_median,
            "train s": run.record.train_seconds,
        }
        for run in sorted(runs, key=lambda run: (run.spec.label, run.spec.lr_g, run.spec.lr_d, run.spec.seed))
    ]


def _value(score: Score | None) -> float | None:
    return None if score is None else score.value


def leaderboard_rows(data: ReportData, protocol_id: str) -> list[dict[str, Any]]:
    """Return one row per model for the table that ends `gan-bench run` and `report`: the page's leaderboard."""
    from gan_bench.report.tables.display_tables import display_leaderboard

    table, board = display_leaderboard(data, protocol_id), data.board(protocol_id)
    shown = [table.headings.index(name) for name in ("model", "lr", "95% interval", "trainings")]
    others = {
        title: key
        for title, key in SCORE_COLUMNS.items()
        if key in board and key != board["metric"].iloc[0] and board[key].notna().any()
    }
    remarks = table.headings.index("remarks") if "remarks" in table.headings else None
    return [
        {
            "model": texts[shown[0]],
            "lr": texts[shown[1]],
            f"{row['title']}, mean": None if math.isnan(row["mean"]) else float(row["mean"]),
            "95% interval": texts[shown[2]],
            **{title: row[key] for title, key in others.items()},
            "s/epoch": row["epoch_seconds_median"],
            "trainings": texts[shown[3]],
            **({"remarks": texts[remarks]} if remarks is not None else {}),
        }
        for texts, (_, row) in zip(table.rows, board.iterrows(), strict=False)
    ]


def flagged_lines(runs: Sequence[StoredRun], failures: bool) -> list[str]:
    """Return a line for each run that diverged or whose verdict is not ok and, with `failures`, that failed."""
    lines = []
    for run in sorted(runs, key=lambda run: run.record.run_id):
        record = run.record
        if record.failure:
            found = [("failed", record.failure)] if failures else []
        elif record.status == "diverged":
            found = [("diverged", record.reason)]
        else:
            found = [(record.verdict, record.verdict_reason)] if record.verdict not in ("ok", "") else []
        lines += [f"{word}: {record.run_id}: {one_line(reason)}" for word, reason in found]
    more = len(lines) - MAX_FLAGGED
    return [*lines[:MAX_FLAGGED], *([f"{more} more: see the page, or type --runs"] if more > 0 else [])]


def print_runs(
    runs: Sequence[StoredRun],
    page: Path,
    protocols: Sequence[str] = (),
    *,
    all_runs: bool = False,
    failures: bool = True,
) -> None:
    """Print each data set's leaderboard, runs that are not ok, conclusions, and the path of the page.

    Scores are those of the first of `protocols` that scored the runs, or else of the report's main protocol. With
    `all_runs`, or without a score, a row for each run replaces the leaderboard. `failures` lists failed runs.
    """
    from gan_bench.report.findings import conclusions, warning
    from gan_bench.report.report_data import report_data

    data, screen = report_data(runs), console()
    parts = [(part, _first_protocol(part, protocols)) for part in data.by_dataset()]
    if all_runs or not any(key for _, key in parts):
        print_rows(run_rows(runs, protocols), as_json=False, optional=OPTIONAL_COLUMNS)
    else:
        for part, key in parts:
            title = part.datasets[0] if len(parts) > 1 else ""
            print_rows(leaderboard_rows(part, key), as_json=False, title=title, optional=OPTIONAL_ON_THE_BOARD)
    sentences = [text for part, key in parts for text in conclusions(part, key)]
    for line in filter(None, [*flagged_lines(runs, failures), warning(data), *sentences]):
        screen.print(line, markup=False, soft_wrap=not screen.is_terminal)  # names are not markup
    echo(f"\nReport: {page}")


def _first_protocol(data: ReportData, protocols: Sequence[str]) -> str:
    """Return the first of `protocols` that scored runs of a data set, or its main protocol."""
    return next(key for key in (*protocols, *data.protocols) if key in data.protocols)
