"""Time to reach a score: training seconds and epochs until a model first scores as well as a target."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any

import pandas as pd

from gan_bench.report.dataframes import Row, average_draws
from gan_bench.report.report_data import ReportData
from gan_bench.report.tables.costs import costs_of
from gan_bench.report.tables.summary import LOST

COLUMNS = (
    "dataset",
    "protocol_id",
    "metric",
    "target",
    "target_of",
    "label",
    "n_runs",
    "n_reached",
    "seconds_median",
    "epochs_median",
)


def timed_scores(data: ReportData) -> pd.DataFrame:
    """Return the headline scores of finished runs of the reported trainings, with the training time up to each."""
    best = data.reported()
    best = best.loc[best["value"].notna(), ["run_id", "protocol_id", "metric", "device_name", "threads"]]
    if best["threads"].nunique() > 1:
        # One processor with different numbers of threads has different speeds.
        threads = best["threads"].replace("", "unknown")
        best = best.assign(device_name=best["device_name"] + ", CPU threads: " + threads)
    scores = average_draws(data.scores[data.scores["checkpoint"] == "last"])
    scores = scores.merge(best, on=["run_id", "protocol_id", "metric"])
    if data.epochs.empty or scores.empty:
        return scores.assign(seconds=pd.Series(dtype=float)).iloc[:0]
    epochs = data.epochs.sort_values(["run_id", "epoch"])
    spent = epochs.assign(own=epochs["epoch_seconds"] / epochs["lanes"].clip(lower=1))
    spent = spent.assign(seconds=spent.groupby("run_id")["own"].cumsum())
    return scores.merge(spent[["run_id", "epoch", "seconds"]], on=["run_id", "epoch"]).sort_values(
        ["label", "run_id", "epoch"]
    )


def time_to_score(data: ReportData, protocols: Sequence[str]) -> pd.DataFrame:
    """Return one row per (protocol, target, model), of trainings that were evaluated more than once.

    Targets are the mean scores at the end of the worst, the middle and the best ranked model. `n_reached` of the
    `n_runs` reported trainings scored as well at some evaluated epoch. Medians count a training that did not, or
    was lost, as infinitely long: they are NaN where at most half of them did. `seconds_median` is NaN, too, where
    a model was trained under several conditions, such as devices.
    """
    timed = timed_scores(data)
    rows = [row for key in protocols if key for row in _of_protocol(data, key, timed)]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _of_protocol(data: ReportData, key: str, timed: pd.DataFrame) -> list[Row]:
    board = data.board(key)
    ranked = board[board["rank"].notna()]
    own = timed[timed["protocol_id"] == key]
    followed = own[own.groupby("run_id")["epoch"].transform("nunique") > 1]
    reported = data.reported()
    reported = reported[reported["protocol_id"] == key]
    if ranked.empty or followed.empty:
        return []
    places = sorted({len(ranked) - 1, len(ranked) // 2, 0}, reverse=True)
    rows = []
    for target in (ranked.iloc[place] for place in places):
        for _, row in board.iterrows():
            mine = followed[followed["label"] == row["label"]]
            lost = int(reported.loc[reported["label"] == row["label"], "status"].isin(LOST).sum())
            if mine.empty and not lost:
                continue
            found = [_first(run, float(target["mean"]), str(row["better"])) for _, run in mine.groupby("run_id")]
            reached = [pair for pair in found if pair is not None]
            missed = len(found) - len(reached) + lost
            comparable = len(costs_of(data.costs, row)) == 1
            rows.append(
                {
                    **{name: row[name] for name in ("dataset", "protocol_id", "metric", "label")},
                    "target": target["mean"],
                    "target_of": target["label"],
                    "n_runs": len(found) + lost,
                    "n_reached": len(reached),
                    "seconds_median": _median([pair[0] for pair in reached], missed) if comparable else math.nan,
                    "epochs_median": _median([pair[1] for pair in reached], missed),
                }
            )
    return rows


def _first(run: Any, target: float, better: str) -> tuple[float, float] | None:
    """Return seconds and epochs up to the first evaluation that scores at least as well as the target."""
    slack = 1e-9 * abs(target)
    good = run["value"] <= target + slack if better == "lower" else run["value"] >= target - slack
    if not good.any():
        return None
    first = run[good].iloc[0]
    return float(first["seconds"]), float(first["epoch"])


def _median(values: list[float], missed: int) -> float:
    """Return the median with missed trainings as infinite; NaN where it is infinite."""
    if not values:
        return math.nan
    found = statistics.median([*values, *[math.inf] * missed])
    return found if math.isfinite(found) else math.nan
