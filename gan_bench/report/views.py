"""Tables as readers see them: few columns, aligned numbers, words for what a number can't say."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from gan_bench.report.data import ReportData
from gan_bench.report.frame import PROTOCOL_NAMES, rate_text
from gan_bench.report.tables import COST_CONDITIONS, VERDICTS
from gan_bench.report.words import MISSING, aligned, byte_size, number

MAX_REASONS = 50


@dataclass(frozen=True)
class View:
    """A table of text; `numeric` tells which columns are set flush right; `footer` rows are references."""

    headings: Sequence[str]
    numeric: Sequence[bool]
    rows: Sequence[Sequence[str]]
    footer: Sequence[Sequence[str]] = ()


def _view(
    columns: Mapping[str, Sequence[str]], words: Iterable[str], footer: Sequence[Sequence[str]] = ()
) -> View:
    text = set(words)
    rows = list(zip(*columns.values(), strict=True))
    return View(list(columns), [name not in text for name in columns], rows, footer)


def leaderboard_view(data: ReportData, protocol_id: str) -> View:
    """Return one protocol's leaderboard, with real images and noise below it as references."""
    board = data.board(protocol_id)
    title = str(board["title"].iloc[0])
    spans = [(row["interval_low"], row["interval_high"]) for _, row in board.iterrows()]
    references = [board["floor"].iloc[0], board["noise"].iloc[0]]
    means = aligned(list(board["mean"]), [])
    columns = {
        "#": [MISSING if pd.isna(rank) else str(int(rank)) for rank in board["rank"]],
        "model": list(board["label"]),
        "lr": list(board["rate"]),
        f"{title}, mean": means,
        "95% interval": _spans(spans, list(board["mean"])),
        "std": aligned(list(board["std"]), list(board["mean"])),
        "median of all": aligned(list(board["median_of_all"])),
        "n": [str(count) for count in board["n"]],
        "against the best": [_versus(row) for _, row in board.iterrows()],
        "P(best wins)": _column(board, "probability_best_beats_it", "{:.2f}"),
        "p": _column(board, "p_value", "{:.2g}"),
        "remarks": [_remarks(row) for _, row in board.iterrows()],
    }
    if not any(columns["remarks"]):
        columns.pop("remarks")
    words = {"model", "lr", "against the best", "remarks"}
    footer = [
        ["", name, "", number(float(value)), *[""] * (len(columns) - 4)]
        for name, value in zip(("real images (floor)", "noise"), references, strict=True)
        if not pd.isna(value)
    ]
    return _view(columns, words, footer)


def _column(board: pd.DataFrame, name: str, pattern: str) -> list[str]:
    if name not in board:
        return [MISSING] * len(board)
    return [MISSING if pd.isna(value) else pattern.format(value) for value in board[name]]


def _spans(spans: Sequence[tuple[float, float]], among: Sequence[float]) -> list[str]:
    lows = aligned([low for low, _ in spans], among)
    highs = aligned([high for _, high in spans], among)
    return [MISSING if low == MISSING else f"{low} to {high}" for low, high in zip(lows, highs, strict=True)]


def _versus(row: pd.Series[Any]) -> str:
    words = {"tie": "can't be told apart", "no claim": "no claim (too few)", "unscored": "not scored"}
    return words.get(row["versus_best"], str(row["versus_best"]))


def _remarks(row: pd.Series[Any]) -> str:
    kinds = ("diverged", "failed", *VERDICTS)
    return ", ".join(f"{row[f'n_{kind}']} {kind}" for kind in kinds if row[f"n_{kind}"])


def rates_view(data: ReportData, protocol_id: str) -> View:
    """Return one protocol's summary: every model at every rate."""
    table = data.summary[data.summary["protocol_id"] == protocol_id]
    spans = [(row["interval_low"], row["interval_high"]) for _, row in table.iterrows()]
    columns = {
        "model": list(table["label"]),
        "lr": [rate_text(g, d) for g, d in zip(table["lr_g"], table["lr_d"], strict=True)],
        f"{table['title'].iloc[0]}, mean": aligned(list(table["mean"])),
        "95% interval": _spans(spans, list(table["mean"])),
        "std": aligned(list(table["std"]), list(table["mean"])),
        "median": aligned(list(table["median"])),
        "IQM": aligned(list(table["iqm"])),
        "n": [str(count) for count in table["n"]],
        "remarks": [_remarks(row) for _, row in table.iterrows()],
    }
    return _view(columns, {"model", "lr", "remarks"})


def cost_view(data: ReportData) -> View:
    """Return what each model costs on each device, in each arithmetic, threads and lanes: medians over runs."""
    keys = ["label", *COST_CONDITIONS]
    costs = data.runs[data.runs["status"] != "failed"]
    numbers = ["epoch_seconds_median", "images_per_second", "train_seconds_per_run", "peak_memory_bytes"]
    numbers += ["g_params", "d_params"]
    numeric = costs.assign(**{name: pd.to_numeric(costs[name]) for name in numbers})
    table = numeric.groupby(keys)[numbers].median().reset_index()
    columns = {
        "model": [str(label) for label in table["label"]],
        "epoch [s]": aligned(list(table["epoch_seconds_median"])),
        "images/s": aligned(list(table["images_per_second"])),
        "training / lanes [s]": aligned(list(table["train_seconds_per_run"])),
        "peak memory": [byte_size(value) for value in table["peak_memory_bytes"]],
        "G params": [f"{value:,.0f}" for value in table["g_params"]],
        "D params": [f"{value:,.0f}" for value in table["d_params"]],
        "device": [str(name) or MISSING for name in table["device_name"]],
        "arithmetic": [str(name) for name in table["train_precision"]],
        "CPU threads": [str(count) or MISSING for count in table["threads"]],
        "lanes": [str(count) for count in table["lanes"]],
    }
    return _view(columns, {"model", "device", "arithmetic"})


def failures_view(data: ReportData) -> View:
    """Return every run that diverged or failed, with its reason."""
    table = data.runs[data.runs["status"] != "done"].head(MAX_REASONS)
    columns = {
        "run": list(table["run_id"]),
        "status": list(table["status"]),
        "epochs done": [str(count) for count in table["epochs"]],
        "attempts": [str(count) for count in table["attempts"]],
        "reason": [reason or "not recorded" for reason in table["reason"]],
    }
    return _view(columns, {"run", "status", "reason"})


def verdicts_view(data: ReportData) -> View:
    """Return every finished run whose verdict is not ok, with its reason."""
    table = data.runs[(data.runs["status"] == "done") & ~data.runs["verdict"].isin(["ok", ""])].head(MAX_REASONS)
    columns = {
        "run": list(table["run_id"]),
        "verdict": list(table["verdict"]),
        "reason": [reason or "not recorded" for reason in table["verdict_reason"]],
    }
    return _view(columns, columns)


def protocol_view(data: ReportData, protocol_id: str) -> View:
    """Return every field of a protocol."""
    rows = data.scores[data.scores["protocol_id"] == protocol_id]
    if rows.empty:
        return View(["field", "value"], [False, False], [])
    columns = {"protocol_id": "protocol_id", **PROTOCOL_NAMES}
    fields = [(name, str(rows[column].iloc[0])) for name, column in columns.items()]
    return View(["field", "value"], [False, False], fields)


def environment_views(data: ReportData) -> list[tuple[int, View]]:
    """Return each distinct environment with the number of its runs, the most frequent first."""
    texts = Counter(json.dumps(dict(run.environment), sort_keys=True, default=str) for run in data.stored)
    return [
        (count, View(["what", "value"], [False, False], _flat(json.loads(text))))
        for text, count in sorted(texts.items(), key=lambda pair: (-pair[1], pair[0]))
    ]


def _flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            rows.extend(_flat(value, f"{prefix}{key}."))
        else:
            rows.append((f"{prefix}{key}", str(value)))
    return rows
