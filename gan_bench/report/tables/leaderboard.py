"""Leaderboard: every configuration at its chosen learning rate, ranked under each protocol."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from gan_bench.core.option_fields import Rates
from gan_bench.report.dataframes import Row
from gan_bench.report.decisions import Difference, Group, compare_first, with_lost
from gan_bench.report.rate_choice import Training, choose_rate
from gan_bench.report.statistics import finite, scale_of
from gan_bench.report.tables.costs import cost_columns
from gan_bench.report.tables.summary import ENTRY, LOST, summary_row

COMPARISON = {
    "difference": "gain",
    "difference_low": "low",
    "difference_high": "high",
    "probability_of_improvement": "probability",
    "p_value": "p_value",
    "p_value_smallest_possible": "smallest_p",
    "difference_detectable": "detectable",
    "seeds_needed": "needed",
    "seeds_to_confirm": "seeds_to_confirm",
    "certainty": "certainty",
}
"""Columns of the comparison with the best, and the fields of `Difference` that they hold."""


@dataclass(frozen=True)
class Entry:
    """A model's row of the leaderboard, the trainings it is of, and their index in the training scores."""

    row: Row
    group: Group
    reported: list[Any]


def leaderboard_table(scores: pd.DataFrame, costs: pd.DataFrame) -> tuple[pd.DataFrame, list[Any]]:
    """Return one row per (model, loss, penalty, data set, size, variant, protocol), ranked, and its trainings.

    The second value is the index of the reported rows of `scores`: the trainings at the chosen rate, see
    `choose_rate` and the column `rate_choice`. Rows are ranked by `median_of_all`, the median over the reported
    trainings with a lost one (diverged or failed) infinitely bad, then by the mean. `versus_best` is `best`,
    `worse`, `tie` (can't be told apart from the best), `too few` (seeds for a claim), `undertrained` (as the best
    is: no claim) or `unscored`.
    """
    rows: list[Row] = []
    reported: list[Any] = []
    for _, table in scores.groupby(["dataset", "protocol_id"], sort=True, dropna=False):
        entries = [entry_of(own) for _, own in table.groupby(ENTRY, sort=True, dropna=False)]
        for entry in entries:
            entry.row.update(cost_columns(costs, entry.row))
            reported.extend(entry.reported)
        rows.extend(_ranked(entries))
    return pd.DataFrame(rows), reported


def entry_of(own: pd.DataFrame) -> Entry:
    """Return the entry of one model under one protocol, from its rows of the training scores."""
    trainings: dict[Rates, list[Training]] = defaultdict(list)
    columns = (own[name] for name in ("lr_g", "lr_d", "seed", "value", "status"))
    for place, (lr_g, lr_d, seed, value, status) in enumerate(zip(*columns, strict=True)):
        trainings[lr_g, lr_d].append(Training(place, seed, float(value), status in LOST))
    choice = choose_rate(trainings, own["better"].iloc[0], scale_of(str(own["metric"].iloc[0])))
    cell = own.iloc[sorted(choice.reported)]
    group = _group(cell, choice.contenders)
    if set(choice.at_best) != set(choice.reported):
        group = replace(group, at_best_rate=_group(own.iloc[sorted(choice.at_best)]))
    row = summary_row(cell, choice.contenders) | {
        "lr_g": choice.rates[0],
        "lr_d": choice.rates[1],
        "rate": choice.rate,
        "n_rates": len(trainings),
        "rate_choice": choice.text,
    }
    return Entry(row, group, list(cell.index))


def _group(cell: pd.DataFrame, contenders: int = 1) -> Group:
    lost = int(cell["status"].isin(LOST).sum())
    return Group(finite(cell["value"].to_numpy(dtype=float)), lost, contenders)


def lost_trainings(row: Any) -> int:
    """Return how many trainings of a row diverged or failed."""
    return int(row["n_diverged"] + row["n_failed"])


def undertrained(row: Any) -> bool:
    """Whether every scored training of a row was judged undertrained."""
    return bool(row["n"] > 0 and row["n_undertrained"] >= row["n"])


def _ranked(entries: list[Entry]) -> list[Row]:
    """Order a protocol's entries, best median first and unscored ones last, and compare each with the best."""
    better = entries[0].row["better"]
    sign = 1 if better == "lower" else -1
    for entry in entries:
        everything = with_lost(entry.group.values, better, entry.group.lost)
        entry.row["median_of_all"] = -sign * float(np.median(everything)) if len(everything) else math.nan
    ordered = sorted(entries, key=lambda entry: _position(entry.row, sign))
    best = ordered[0].row
    found = compare_first([entry.group for entry in ordered], better, scale_of(best["metric"]))
    rows: list[Row] = []
    for index, (entry, difference) in enumerate(zip(ordered, [None, *found], strict=True)):
        row = entry.row
        rank = None if math.isnan(row["mean"]) else index + 1
        head: Row = {"rank": rank, "label": row["label"], "rate": row["rate"]}
        verdict = _versus(best, row, difference)
        rows.append({**head, **row, "versus_best": verdict, **_columns(difference)})
    return rows


def _position(row: Row, sign: int) -> tuple[Any, ...]:
    return (math.isnan(row["mean"]), sign * row["median_of_all"], sign * row["mean"], row["label"])


def _versus(best: Row, row: Row, difference: Difference | None) -> str:
    if best["n"] == 0 or not (row["n"] or lost_trainings(row)):
        return "unscored"
    if difference is None:
        return "best"
    if undertrained(best) and undertrained(row):
        return "undertrained"
    return {"clear": "worse", "unclear": "tie", "too few": "too few"}[difference.certainty]


def _columns(found: Difference | None) -> Row:
    """Return the columns of a comparison with the best; `difference` is above 0 where the best is better."""
    names = {ours: getattr(found, theirs) for ours, theirs in COMPARISON.items()} if found else {}
    return {**dict.fromkeys(COMPARISON), **names}


def difference_of(best: Any, row: Any) -> Difference:
    """Return the comparison of the best row with another one of its leaderboard."""
    values = {theirs: row[ours] for ours, theirs in COMPARISON.items()}
    counts = [int(each["n"]) + lost_trainings(each) for each in (best, row)]
    return Difference(
        n_a=counts[0],
        n_b=counts[1],
        **values | {"needed": int(values["needed"])},
    )
