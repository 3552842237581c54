"""The page's table of every run."""

from __future__ import annotations

from gan_bench.core.numbers import MISSING, number, rate_text
from gan_bench.report.page.cells import Cell, Column, Models, PageTable, sort_value
from gan_bench.report.report_data import ReportData
from gan_bench.report.tables.summary import LOST

MAX_RUNS = 2000
"""Rows of the table of runs at most; runs.csv has all."""
MAX_NOTE = 120
"""Characters of a reason in the table of runs; a table of its own has it whole."""


def all_runs(data: ReportData, models: Models) -> PageTable:
    """Return every run of the report: settings, outcome, scores under its main protocol and costs."""
    runs = data.runs
    titles = data.scores.drop_duplicates("metric").set_index("metric")["title"]
    title_of = {"fid": "FID", "kid_mean": "KID (x 1000)", "inception_score_mean": "IS"}
    metrics = [
        name
        for name in dict.fromkeys(data.scores["metric"])
        if not name.endswith("_std") and name in runs and runs[name].notna().any()
    ]
    columns = [
        Column("model", numeric=False),
        Column("data set", numeric=False),
        Column("seed"),
        Column("learning rate"),
        Column("outcome", numeric=False),
        *(Column(title_of.get(name) or str(titles[name])) for name in metrics),
        Column("protocol", numeric=False),
        Column("epochs"),
        Column("training [s]"),
        Column("run", numeric=False),
    ]
    rows = []
    for row in runs.head(MAX_RUNS).to_dict(orient="records"):
        outcome = str(row["status"]) if row["status"] != "done" else str(row["verdict"] or "done")
        note = str(row["reason"] or row["evaluation_failure"] or "")[:MAX_NOTE]
        seconds = row["train_seconds_per_run"]
        rows.append(
            [
                Cell(row["label"], str(row["label"]), models[row["label"]]),
                Cell(str(row["dataset"]), str(row["dataset"])),
                Cell(str(row["seed"]), float(row["seed"])),
                Cell(rate_text(row["lr_g"], row["lr_d"]), float(row["lr_g"])),
                Cell(outcome, outcome, kind=f"{_outcome_kind(outcome)} wraps", note=note),
                *(Cell(number(row[name]), sort_value(row[name])) for name in metrics),
                Cell(str(row["protocol_id"]) or MISSING, str(row["protocol_id"])),
                Cell(str(row["epochs"]), float(row["epochs"])),
                Cell(number(seconds), sort_value(seconds)),
                Cell(str(row["run_id"]), str(row["run_id"]), kind="id"),
            ]
        )
    return PageTable(columns, rows, omitted=max(0, len(runs) - MAX_RUNS))


def _outcome_kind(outcome: str) -> str:
    return "good" if outcome in ("ok", "done") else "bad" if outcome in LOST else "weak"
