"""Tables of the page whose cells have more than text: values to sort by, badges and interval bars."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import pandas as pd

from gan_bench.core.numbers import MISSING, number, rate_text
from gan_bench.report.decisions import a_is_better, compare, compare_pairs
from gan_bench.report.formatting import byte_size, p_text
from gan_bench.report.page.models import PageModel
from gan_bench.report.report_data import ReportData
from gan_bench.report.statistics import Better, scale_of
from gan_bench.report.tables.leaderboard import difference_of, entry_of, undertrained
from gan_bench.report.tables.summary import ENTRY, LOST, VERDICTS

Models: TypeAlias = "dict[str, PageModel]"
Row: TypeAlias = "pd.Series[Any]"

MAX_RUNS = 2000
"""Rows of the table of runs at most; runs.csv has all."""
MAX_PAIRS = 12
"""Models of the table of pairs at most."""
MAX_NOTE = 120
"""Characters of a reason in the table of runs; a table of its own has it whole."""
BAR = 100
"""Width of an interval bar in its own units."""
AGAINST = {
    "best": "best",
    "worse": "worse",
    "tie": "can't be told apart",
    "undertrained": "no claim (undertrained)",
    "unscored": "not scored",
}


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
    best_metric = {metric: _clearly_best(data, key, metric, better) for metric, _, better in metrics}
    span = _span(board)
    rows = []
    for _, row in board.iterrows():
        headline = str(row["metric"])
        cells = [
            Cell(
                number(row[metric]),
                _value(row[metric]),
                strong=best_metric[metric] == row["label"],
                bar=_bar(row, span) if metric == headline else None,
                note=_interval_note(row) if metric == headline else "",
            )
            for metric, _, _ in metrics
        ]
        parameters = row["g_params"] + row["d_params"]
        rows.append(
            [
                Cell(MISSING if pd.isna(row["rank"]) else str(int(row["rank"])), _value(row["rank"])),
                Cell(row["label"], str(row["label"]), models[row["label"]], badges=_badges(row)),
                *cells,
                Cell(str(row["rate"]), float(row["lr_g"])),
                *(Cell(number(row[c]), _value(row[c])) for c in ("train_seconds_per_run", "epoch_seconds_median")),
                Cell(byte_size(row["peak_memory_bytes"]), _value(row["peak_memory_bytes"])),
                Cell(f"{parameters / 1e6:.2f} M" if parameters > 0 else MISSING, _value(parameters)),
                Cell(_against(board.iloc[0], row), str(row["versus_best"])),
                Cell(_p(row["p_value"]), _value(row["p_value"])),
            ]
        )
    return PageTable(columns, rows, _references(data, key, metrics, len(columns)))


def _clearly_best(data: ReportData, key: str, metric: str, better: str) -> str:
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


def _p(value: Any) -> str:
    return MISSING if value is None or pd.isna(value) else p_text(float(value))


def _value(value: Any) -> float | None:
    return None if value is None or pd.isna(value) else float(value)


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


def pairs(data: ReportData, key: str, models: Models) -> PageTable | None:
    """Return who beats whom: of each two models the probability of improvement and what can be claimed.

    None with fewer than two scored models. Models beyond MAX_PAIRS are left out.
    """
    board = data.board(key)
    labels = [str(label) for label in board.loc[board["rank"].notna(), "label"]]
    if len(labels) < 2:
        return None
    scores = data.training_scores[data.training_scores["protocol_id"] == key]
    entries = [entry_of(own) for _, own in scores.groupby(ENTRY, sort=True, dropna=False)]
    entries.sort(key=lambda entry: list(board["label"]).index(entry.row["label"]))
    shown = min(len(labels), MAX_PAIRS)
    metric = board.iloc[0]
    found = compare_pairs(
        [entry.group for entry in entries], metric["better"], scale_of(str(metric["metric"])), shown
    )
    rows = []
    for i in range(shown):
        cells = [Cell(labels[i], model=models[labels[i]])]
        for j in range(shown):
            if i == j:
                cells.append(Cell(MISSING, kind="same"))
                continue
            difference = found[min(i, j), max(i, j)]
            short_trained = all(undertrained(entries[k].row) for k in (i, j))
            chance = difference.probability if i < j else 1 - difference.probability
            cells.append(_pair(difference.certainty, chance, difference.too_few, short_trained))
        rows.append(cells)
    columns = [Column("model", numeric=False), *(Column(models[label].name) for label in labels[:shown])]
    return PageTable(columns, rows, omitted=len(labels) - shown)


def _pair(certainty: str, chance: float, too_few: str, short_trained: bool) -> Cell:
    if certainty == "too few":
        return Cell(MISSING, note=too_few)
    text = "< 0.01" if 0 < chance < 0.01 else f"{chance:.2f}"
    if short_trained:
        return Cell(text, note="no claim (undertrained)")
    if certainty == "unclear":
        return Cell(text, note="not clear")
    return Cell(text, kind="better" if chance > 0.5 else "worse", note="better" if chance > 0.5 else "worse")


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
                *(Cell(number(row[name]), _value(row[name])) for name in metrics),
                Cell(str(row["protocol_id"]) or MISSING, str(row["protocol_id"])),
                Cell(str(row["epochs"]), float(row["epochs"])),
                Cell(number(seconds), _value(seconds)),
                Cell(str(row["run_id"]), str(row["run_id"]), kind="id"),
            ]
        )
    return PageTable(columns, rows, omitted=max(0, len(runs) - MAX_RUNS))


def _outcome_kind(outcome: str) -> str:
    return "good" if outcome in ("ok", "done") else "bad" if outcome in LOST else "weak"
