"""The page's leaderboard: every metric, costs, and the comparison with the best."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from gan_bench.core.numbers import MISSING, number
from gan_bench.report.decisions import a_is_better, compare
from gan_bench.report.formatting import byte_size
from gan_bench.report.page.cells import BAR, Bar, Cell, Column, Models, PageTable, Row, p_or_dash, sort_value
from gan_bench.report.report_data import ReportData
from gan_bench.report.statistics import Better, scale_of
from gan_bench.report.tables.leaderboard import difference_of
from gan_bench.report.tables.summary import LOST, VERDICTS

AGAINST = {
    "best": "best",
    "worse": "worse",
    "tie": "can't be told apart",
    "undertrained": "no claim (undertrained)",
    "unscored": "not scored",
}


def metric_columns(data: ReportData, key: str) -> list[tuple[str, str, str]]:
    """Return the metrics of a protocol as (metric, title, better), the headline first, without their spreads."""
    own = data.scores[data.scores["protocol_id"] == key]
    found = own[["metric", "title", "better"]].drop_duplicates("metric")
    rows = [tuple(map(str, row)) for row in found.to_numpy() if not str(row[0]).endswith("_std")]
    headline = str(data.board(key)["metric"].iloc[0])
    return sorted(rows, key=lambda row: row[0] != headline)  # type: ignore[arg-type]


def arrow(better: str) -> str:
    """Return the sign of the better direction."""
    return "↓" if better == "lower" else "↑"


def leaderboard(data: ReportData, key: str, models: Models) -> PageTable:
    """Return the leaderboard of a protocol: every metric, costs, and the comparison with the best."""
    board = data.board(key)
    metrics = metric_columns(data, key)
    columns = [
        Column("#"),
        Column("model", numeric=False),
        *(Column(f"{title} {arrow(better)}", name=metric) for metric, title, better in metrics),
        Column("learning rate", numeric=False),
        Column("training [s] ↓", name="train_seconds_per_run"),
        Column("epoch [s] ↓"),
        Column("peak memory ↓"),
        Column("params ↓"),
        Column("against the best", numeric=False),
        Column("p"),
    ]
    best_metric = {metric: clearly_best(data, key, metric, better) for metric, _, better in metrics}
    span = _span(board)
    rows = []
    for _, row in board.iterrows():
        headline = str(row["metric"])
        cells = [
            Cell(
                number(row[metric]),
                sort_value(row[metric]),
                strong=best_metric[metric] == row["label"],
                bar=_bar(row, span) if metric == headline else None,
                note=_interval_note(row) if metric == headline else "",
            )
            for metric, _, _ in metrics
        ]
        parameters = row["g_params"] + row["d_params"]
        rows.append(
            [
                Cell(MISSING if pd.isna(row["rank"]) else str(int(row["rank"])), sort_value(row["rank"])),
                Cell(row["label"], str(row["label"]), models[row["label"]], badges=_badges(row)),
                *cells,
                Cell(str(row["rate"]), float(row["lr_g"])),
                *(
                    Cell(number(row[c]), sort_value(row[c]))
                    for c in ("train_seconds_per_run", "epoch_seconds_median")
                ),
                Cell(byte_size(row["peak_memory_bytes"]), sort_value(row["peak_memory_bytes"])),
                Cell(f"{parameters / 1e6:.2f} M" if parameters > 0 else MISSING, sort_value(parameters)),
                Cell(_against(board.iloc[0], row), str(row["versus_best"])),
                Cell(p_or_dash(row["p_value"]), sort_value(row["p_value"])),
            ]
        )
    return PageTable(columns, rows, _references(data, key, metrics, len(columns)))


def clearly_best(data: ReportData, key: str, metric: str, better: str) -> str:
    """Return the model that is best by a metric and clearly better than the second; empty without one."""
    board = data.board(key)
    means = board.set_index("label")[metric].dropna().sort_values(ascending=better == "lower")
    if len(means) < 2 or means.iloc[0] == means.iloc[1]:
        return ""
    rows = data.reported()
    rows = rows[rows["protocol_id"] == key]
    groups = [rows[rows["label"] == label] for label in means.index[:2]]
    values = [group[f"score_{metric}"].dropna().to_numpy(dtype=float) for group in groups]
    lost = [int(group["status"].isin(LOST).sum()) for group in groups]
    direction: Better = "lower" if better == "lower" else "higher"
    found = compare(values[0], values[1], direction, lost[0], lost[1], scale_of(metric))
    return str(means.index[0]) if found.certainty == "clear" and a_is_better(found) else ""


def _span(board: pd.DataFrame) -> tuple[float, float]:
    ends = pd.concat([board["interval_low"], board["interval_high"], board["mean"]]).dropna()
    return (float(ends.min()), float(ends.max())) if len(ends) else (math.nan, math.nan)


def _bar(row: Row, span: tuple[float, float]) -> Bar | None:
    low, high = span
    if pd.isna(row["mean"]) or not high > low:
        return None
    place = [
        round(4 + (BAR - 8) * (float(row["mean"] if pd.isna(row[name]) else row[name]) - low) / (high - low), 1)
        for name in ("interval_low", "interval_high", "mean")
    ]
    return Bar(*place)


def _interval_note(row: Row) -> str:
    if pd.isna(row["interval_low"]):
        return ""
    return f"{number(row['interval_low'])} to {number(row['interval_high'])}"


def _badges(row: Row) -> list[str]:
    total = int(row["n_runs"])
    found = [(name, int(row[f"n_{name}"])) for name in (*LOST, *VERDICTS)]
    return [f"{name} {count}/{total}" for name, count in found if count]


def _against(best: Row, row: Row) -> str:
    if row["versus_best"] == "too few":
        return difference_of(best, row).too_few
    return AGAINST.get(str(row["versus_best"]), str(row["versus_best"]))


def _references(
    data: ReportData, key: str, metrics: Sequence[tuple[str, str, str]], width: int
) -> list[list[str]]:
    """Return the rows of both references, for every metric that has them."""
    own = data.scores[data.scores["protocol_id"] == key]
    rows = []
    for column, name in (("real_reference", "real images"), ("noise_reference", "noise")):
        values = own.dropna(subset=[column]).drop_duplicates("metric").set_index("metric")[column]
        if len(values):
            texts = [number(values.get(metric, math.nan)) for metric, _, _ in metrics]
            rows.append(["", name, *texts, *[""] * (width - 2 - len(metrics))])
    return rows
