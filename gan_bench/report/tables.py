"""The two tables that compare: every setting with its statistics, and every model at its best rate."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from gan_bench.report.frame import IDENTITY, Row, rate_text
from gan_bench.report.statistics import compare, estimate, with_lost

ENTRY = ["label", *IDENTITY, "variant", "protocol_id"]
"""What one row of the leaderboard is about."""
CELL = [*ENTRY, "lr_g", "lr_d"]
"""What one row of the summary is about."""
COSTS = (
    "epoch_seconds_median",
    "train_seconds_per_run",
    "images_per_second",
    "peak_memory_bytes",
    "g_params",
    "d_params",
)
QUALITY_CONDITIONS = {"budget": "training length", "batch_size": "batch size", "train_precision": "arithmetic"}
"""What must be equal for a comparison of scores to be fair: columns, and their names in words."""
COST_CONDITIONS = {
    "device_name": "device",
    "train_precision": "arithmetic",
    "threads": "CPU threads",
    "lanes": "lanes",
}
"""What must be equal for a comparison of times to be fair."""
STATUSES = ("diverged", "failed")
VERDICTS = ("undertrained", "collapsed", "memorised")


def summary_table(results: pd.DataFrame) -> pd.DataFrame:
    """Return one row a (model, loss, dataset, size, variant, rates, protocol): statistics of the headline metric.

    `n` counts scored trainings, `n_runs` all; the other metrics' columns, named after them, are means. Costs are
    medians over trainings that did not fail, and conditions are theirs: a failed one may not even have begun.
    """
    rows = [_summary_row(cell) for _, cell in results.groupby(CELL, sort=True, dropna=False)]
    return pd.DataFrame(rows)


def _summary_row(cell: pd.DataFrame) -> Row:
    first = cell.iloc[0]
    found = estimate(cell["value"].to_numpy(dtype=float))
    metrics = [column for column in cell.columns if column.startswith("score_")]
    trained = cell[cell["status"] != "failed"]
    kept = ["extractor", "n_real", "n_fake", "metric", "title", "better"]
    return {
        **{key: first[key] for key in [*CELL, *kept]},
        "n": found.n,
        "mean": found.mean,
        "std": found.std,
        "median": found.median,
        "iqm": found.iqm,
        "interval_low": found.low,
        "interval_high": found.high,
        "interval_rough": found.rough,
        "floor": first.get("floor"),
        "noise": first.get("noise"),
        "n_runs": len(cell),
        **{f"n_{status}": int((cell["status"] == status).sum()) for status in STATUSES},
        **{f"n_{verdict}": int((cell["verdict"] == verdict).sum()) for verdict in VERDICTS},
        **{column: pd.to_numeric(trained[column]).median() for column in COSTS},
        **{key: _joined(trained[key]) for key in QUALITY_CONDITIONS | COST_CONDITIONS},
        **{column.removeprefix("score_"): cell[column].mean() for column in metrics},
    }


def _joined(column: pd.Series[Any]) -> str:
    return ", ".join(sorted({str(value) for value in column if str(value)}))


def leaderboard_table(summary: pd.DataFrame, results: pd.DataFrame) -> pd.DataFrame:
    """Return one row a (model, loss, dataset, size, variant, protocol) at its best rate, ranked per protocol.

    The best rate has the smallest share of diverged trainings, then the best mean over the very seeds that are
    reported: an optimistic choice where there was more than one rate, and `rate_choice` says so. The ranking is
    by `median_of_all`, over all trainings with a diverged one infinitely bad, and by the mean where it is equal:
    the survivors alone would hide what a model loses. `versus_best` is `best`, `worse`, `likely worse`, `tie`
    (can't be told apart from it) or `no claim` (too few trainings).
    """
    values = {
        cell: group["value"].dropna().tolist()
        for cell, group in results.groupby(["label", "dataset", "protocol_id", "lr_g", "lr_d"], dropna=False)
    }
    rows: list[Row] = []
    for _, table in summary.groupby("protocol_id", sort=True, dropna=False):
        best = [best_rate(entry) for _, entry in table.groupby(ENTRY, sort=True, dropna=False)]
        rows.extend(_ranked(best, values))
    return pd.DataFrame(rows)


def best_rate(entry: pd.DataFrame) -> Row:
    """Return the row of the best rate among one entry's rows of the summary, with how it was chosen."""
    sign = 1 if entry["better"].iloc[0] == "lower" else -1
    judged = entry.assign(
        unscored=(entry["n"] == 0).astype(int),
        lost=entry["n_diverged"] / entry["n_runs"],
        signed=sign * entry["mean"],
    )
    chosen = judged.sort_values(["unscored", "lost", "signed", "lr_g", "lr_d"]).index[0]
    row: Row = {str(key): value for key, value in entry.loc[chosen].to_dict().items()}
    rates = len(entry)
    row["n_rates"] = rates
    row["rate_choice"] = (
        "the only rate"
        if rates == 1
        else f"best of {rates} rates on the reported seeds themselves: optimistic"
        + ("; rates with fewer diverged trainings come first" if entry["n_diverged"].any() else "")
    )
    return row


def _ranked(entries: list[Row], values: dict[Any, list[float]]) -> list[Row]:
    """Order a protocol's entries, best median first and unscored ones last, and set each against the best."""
    sign = 1 if entries[0]["better"] == "lower" else -1
    for row in entries:
        row["median_of_all"] = -sign * _median_of_all(row, values)
    ordered = sorted(
        entries,
        key=lambda row: (math.isnan(row["mean"]), sign * row["median_of_all"], sign * row["mean"], row["label"]),
    )
    best = ordered[0]
    rows: list[Row] = []
    for index, row in enumerate(ordered):
        place = None if math.isnan(row["mean"]) else index + 1
        head: Row = {"rank": place, "label": row["label"], "rate": rate_text(row["lr_g"], row["lr_d"])}
        against = (
            _against(best, row, values) if index and place else {"versus_best": "best" if place else "unscored"}
        )
        rows.append({**head, **row, **against})
    return rows


def _median_of_all(row: Row, values: dict[Any, list[float]]) -> float:
    everything = with_lost(values[_key(row)], row["better"], row["n_diverged"])
    return float(np.median(everything)) if len(everything) else math.nan


def _against(best: Row, row: Row, values: dict[Any, list[float]]) -> Row:
    """Return how a row's trainings differ from the best row's: `difference` above 0 where the best is better."""
    found = compare(
        values[_key(best)],
        values[_key(row)],
        best["better"],
        lost_a=best["n_diverged"],
        lost_b=row["n_diverged"],
    )
    words = {"clear": "worse", "likely": "likely worse", "unclear": "tie", "no claim": "no claim"}
    return {
        "versus_best": words[found.certainty],
        "difference": found.gain,
        "difference_low": found.low,
        "difference_high": found.high,
        "probability_best_beats_it": found.probability,
        "p_value": found.p_value,
        "p_value_smallest_possible": found.smallest_p,
    }


def _key(row: Row) -> tuple[Any, ...]:
    return row["label"], row["dataset"], row["protocol_id"], row["lr_g"], row["lr_d"]
