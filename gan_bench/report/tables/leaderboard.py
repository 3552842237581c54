"""Leaderboard: every configuration at its best learning rate, ranked under each protocol."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from gan_bench.report.dataframes import Row, rate_text
from gan_bench.report.statistics import compare, with_diverged
from gan_bench.report.tables.summary import ENTRY

KEY = ["label", "dataset", "protocol_id", "lr_g", "lr_d"]
"""Columns that identify the trainings of a row."""


def leaderboard_table(summary: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    """Return one row per (model, loss, penalty, data set, size, variant, protocol) at its best rate, ranked.

    The best rate has the smallest share of diverged trainings, then the best mean on the reported seeds: an
    optimistic choice among several rates, noted in `rate_choice`. Rows are ranked by `median_of_all`, the median
    over all trainings with a diverged one infinitely bad, then by the mean: the mean alone ignores divergence.
    `versus_best` is `best`, `worse`, `likely worse`, `tie` (can't be told apart from the best), `no claim` (too
    few trainings) or `unscored`.
    """
    values = {cell: group["value"].dropna().tolist() for cell, group in scores.groupby(KEY, dropna=False)}
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
        diverged=entry["n_diverged"] / entry["n_runs"],
        signed=sign * entry["mean"],
    )
    chosen = judged.sort_values(["unscored", "diverged", "signed", "lr_g", "lr_d"]).index[0]
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
    """Order a protocol's entries, best median first and unscored ones last, and compare each with the best."""
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
        rank = None if math.isnan(row["mean"]) else index + 1
        head: Row = {"rank": rank, "label": row["label"], "rate": rate_text(row["lr_g"], row["lr_d"])}
        versus = _versus(best, row, values) if index and rank else {"versus_best": "best" if rank else "unscored"}
        rows.append({**head, **row, **versus})
    return rows


def _median_of_all(row: Row, values: dict[Any, list[float]]) -> float:
    everything = with_diverged(values[_key(row)], row["better"], row["n_diverged"])
    return float(np.median(everything)) if len(everything) else math.nan


def _versus(best: Row, row: Row, values: dict[Any, list[float]]) -> Row:
    """Return the comparison of a row with the best; `difference` is above 0 where the best is better."""
    found = compare(
        values[_key(best)],
        values[_key(row)],
        best["better"],
        diverged_a=best["n_diverged"],
        diverged_b=row["n_diverged"],
    )
    words = {"clear": "worse", "likely": "likely worse", "unclear": "tie", "no claim": "no claim"}
    return {
        "versus_best": words[found.certainty],
        "difference": found.gain,
        "difference_low": found.low,
        "difference_high": found.high,
        "probability_of_improvement": found.probability,
        "p_value": found.p_value,
        "p_value_smallest_possible": found.smallest_p,
    }


def _key(row: Row) -> tuple[Any, ...]:
    return tuple(row[name] for name in KEY)
