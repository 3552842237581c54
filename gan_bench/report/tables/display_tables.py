"""Tables of the page as text: few columns, aligned numbers."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from gan_bench.core.numbers import MISSING, number, rate_text
from gan_bench.report.dataframes import PROTOCOL_NAMES
from gan_bench.report.formatting import byte_size, count_text, p_text, trainings
from gan_bench.report.report_data import ReportData
from gan_bench.report.tables.leaderboard import difference_of
from gan_bench.report.tables.summary import VERDICTS
from gan_bench.report.tables.time_to_score import time_to_score

MAX_REASONS = 50
MAX_ROWS = 200
"""Rows of a table on the page; the CSV files have all."""
MAX_CELL = 500
MAX_ENVIRONMENTS = 20
VERSUS_BEST = {
    "tie": "can't be told apart",
    "undertrained": "no claim (undertrained)",
    "unscored": "not scored",
}
REFERENCES = {"real_reference": "reference: real images", "noise_reference": "reference: noise"}


@dataclass(frozen=True)
class DisplayTable:
    """A table of text; `numeric` columns are right-aligned; `footer` holds reference rows."""

    headings: Sequence[str]
    numeric: Sequence[bool]
    rows: Sequence[Sequence[str]]
    footer: Sequence[Sequence[str]] = ()
    omitted: int = 0
    """Rows beyond the first MAX_ROWS."""


def _table(
    columns: Mapping[str, Sequence[str]], text: Iterable[str], footer: Sequence[Sequence[str]] = ()
) -> DisplayTable:
    """Return a table of columns by heading, those named in `text` left-aligned."""
    left = set(text)
    rows = [
        [short(cell) for cell in row] for row in itertools.islice(zip(*columns.values(), strict=True), MAX_ROWS)
    ]
    omitted = max(0, max(map(len, columns.values()), default=0) - MAX_ROWS)
    return DisplayTable(list(columns), [name not in left for name in columns], rows, footer, omitted)


def short(text: str) -> str:
    """Return text cut off after MAX_CELL characters: files of others decide on it."""
    return text if len(text) <= MAX_CELL else f"{text[: MAX_CELL - 1]}…"


def display_leaderboard(data: ReportData, protocol_id: str) -> DisplayTable:
    """Return one protocol's leaderboard, with both references in the footer."""
    board = data.board(protocol_id)
    columns = {
        "#": [MISSING if pd.isna(rank) else str(int(rank)) for rank in board["rank"]],
        "model": list(board["label"]),
        "lr": list(board["rate"]),
        f"{board['title'].iloc[0]}, mean": numbers(board["mean"]),
        "95% interval": _intervals(board),
        **_spreads(board),
        "median of all": numbers(board["median_of_all"]),
        "trainings": _counts(board),
        "against the best": _against_best(board),
        "probability of improvement": [_share(value) for value in board["probability_of_improvement"]],
        "p": [MISSING if value is None else p_text(float(value)) for value in board["p_value"]],
        "remarks": [_remarks(row) for _, row in board.iterrows()],
    }
    if not any(columns["remarks"]):
        columns.pop("remarks")
    footer = [
        ["", name, "", number(float(board[key].iloc[0])), *[""] * (len(columns) - 4)]
        for key, name in REFERENCES.items()
        if not pd.isna(board[key].iloc[0])
    ]
    return _table(columns, {"model", "lr", "trainings", "against the best", "remarks"}, footer)


def numbers(values: Iterable[float | None]) -> list[str]:
    """Return a column of numbers, each in the notation that it has everywhere."""
    return [number(value) for value in values]


def _counts(table: pd.DataFrame) -> list[str]:
    """Return the trainings that a mean is over, with the lost ones: `3`, or `2 of 3: 1 diverged`."""
    texts = [
        count_text(int(n), int(diverged), int(failed))
        for n, diverged, failed in zip(table["n"], table["n_diverged"], table["n_failed"], strict=True)
    ]
    return [text.replace(" trainings", "").replace(" training", "") for text in texts]


def _against_best(board: pd.DataFrame) -> list[str]:
    best = board.iloc[0]
    return [
        difference_of(best, row).too_few
        if row["versus_best"] == "too few"
        else VERSUS_BEST.get(row["versus_best"], row["versus_best"])
        for _, row in board.iterrows()
    ]


def _share(value: float | None) -> str:
    return MISSING if value is None or pd.isna(value) else f"{value:.2f}"


def _intervals(table: pd.DataFrame) -> list[str]:
    pairs = zip(numbers(table["interval_low"]), numbers(table["interval_high"]), strict=True)
    return [MISSING if low == MISSING else f"{low} to {high}" for low, high in pairs]


def _spreads(table: pd.DataFrame) -> dict[str, list[str]]:
    """Return the columns of both spreads, over training seeds and, with several draws, over generation draws."""
    columns = {"std over seeds": numbers(table["std"])}
    if table["std_draws"].notna().any():
        columns["std over draws"] = numbers(table["std_draws"])
        columns["draws"] = [str(count) for count in table["n_draws"]]
    return columns


def _remarks(row: pd.Series[Any]) -> str:
    return ", ".join(f"{row[f'n_{verdict}']} {verdict}" for verdict in VERDICTS if row[f"n_{verdict}"])


def display_rates(data: ReportData, protocol_id: str) -> DisplayTable:
    """Return one protocol's summary: every model at every learning rate."""
    table = data.summary[data.summary["protocol_id"] == protocol_id]
    columns = {
        "model": list(table["label"]),
        "lr": [rate_text(g, d) for g, d in zip(table["lr_g"], table["lr_d"], strict=True)],
        f"{table['title'].iloc[0]}, mean": numbers(table["mean"]),
        "95% interval": _intervals(table),
        **_spreads(table),
        "median": numbers(table["median"]),
        "IQM": numbers(table["iqm"]),
        "trainings": _counts(table),
        "remarks": [_remarks(row) for _, row in table.iterrows()],
    }
    if not any(columns["remarks"]):
        columns.pop("remarks")
    return _table(columns, {"model", "lr", "trainings", "remarks"})


def display_time_to_score(data: ReportData, protocol_id: str) -> DisplayTable | None:
    """Return how long each model takes to reach a score; None without intermediate evaluations."""
    table = time_to_score(data, [protocol_id])
    if table.empty:
        return None
    title = str(data.board(protocol_id)["title"].iloc[0])
    columns = {
        f"{title} to reach": [
            f"{number(target)} (mean of {label})"
            for target, label in zip(table["target"], table["target_of"], strict=True)
        ],
        "model": list(table["label"]),
        "training time [s]": numbers(table["seconds_median"]),
        "epochs": numbers(table["epochs_median"]),
        "reached by": [
            f"{reached} of {trainings(total)}"
            for reached, total in zip(table["n_reached"], table["n_runs"], strict=True)
        ],
    }
    return _table(columns, {f"{title} to reach", "model", "reached by"})


def display_costs(data: ReportData) -> DisplayTable:
    """Return each model's costs; see `costs_table`. Energy has a column where it was measured."""
    table = data.costs
    energy = table["energy_joules_per_run"]
    columns = {
        "model": [str(label) for label in table["label"]],
        "epoch [s]": numbers(table["epoch_seconds_median"]),
        "images/s": numbers(table["images_per_second"]),
        "training / lanes [s]": numbers(table["train_seconds_per_run"]),
        **({"energy / lanes [J]": numbers(energy)} if energy.notna().any() else {}),
        "peak memory": [byte_size(value) for value in table["peak_memory_bytes"]],
        "G params": [f"{value:,.0f}" for value in table["g_params"]],
        "D params": [f"{value:,.0f}" for value in table["d_params"]],
        "device": [str(name) or MISSING for name in table["device_name"]],
        "arithmetic": [str(name) for name in table["train_precision"]],
        "CPU threads": [str(count) or MISSING for count in table["threads"]],
        "lanes": [str(count) for count in table["lanes"]],
    }
    return _table(columns, {"model", "device", "arithmetic"})


def display_failures(data: ReportData) -> DisplayTable:
    """Return every run that diverged, failed or could not be evaluated, with its reason."""
    runs = data.runs
    table = runs[(runs["status"] != "done") | (runs["evaluation_failure"] != "")].head(MAX_REASONS)
    columns = {
        "run": list(table["run_id"]),
        "status": [f"{status}, not evaluated" if status == "done" else status for status in table["status"]],
        "epochs finished": [str(count) for count in table["epochs"]],
        "attempts": [str(count) for count in table["attempts"]],
        "reason": [
            reason or failure or "not recorded"
            for reason, failure in zip(table["reason"], table["evaluation_failure"], strict=True)
        ],
    }
    return _table(columns, {"run", "status", "reason"})


def display_verdicts(data: ReportData) -> DisplayTable:
    """Return every finished run whose verdict is not ok, with its reason."""
    table = data.runs[(data.runs["status"] == "done") & ~data.runs["verdict"].isin(["ok", ""])].head(MAX_REASONS)
    columns = {
        "run": list(table["run_id"]),
        "verdict": list(table["verdict"]),
        "reason": [reason or "not recorded" for reason in table["verdict_reason"]],
    }
    return _table(columns, columns)


def display_left_out(data: ReportData) -> DisplayTable:
    """Return every run that is left out, with its reason."""
    columns = {
        "run": [run.run_id for run in data.left_out],
        "reason": [run.reason for run in data.left_out],
    }
    return _table(columns, columns)


def display_protocol(data: ReportData, protocol_id: str) -> DisplayTable:
    """Return every field of a protocol."""
    rows = data.scores[data.scores["protocol_id"] == protocol_id]
    columns = {"protocol_id": "protocol_id", **PROTOCOL_NAMES}
    fields = [] if rows.empty else [(name, str(rows[column].iloc[0])) for name, column in columns.items()]
    return DisplayTable(["field", "value"], [False, False], fields)


def display_environments(data: ReportData) -> list[tuple[int, DisplayTable]]:
    """Return each distinct environment with the number of its runs, the most frequent first."""
    texts = Counter(json.dumps(dict(run.environment), sort_keys=True, default=str) for run in data.stored)
    found = []
    for text, count in sorted(texts.items(), key=lambda pair: (-pair[1], pair[0]))[:MAX_ENVIRONMENTS]:
        rows = _flat(json.loads(text))
        columns = {"field": [name for name, _ in rows], "value": [value for _, value in rows]}
        found.append((count, _table(columns, columns)))
    return found


def _flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            rows.extend(_flat(value, f"{prefix}{key}."))
        else:
            rows.append((f"{prefix}{key}", str(value)))
    return rows
