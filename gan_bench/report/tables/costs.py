"""Costs of each model: medians over its trainings under equal conditions, the one definition of every table."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from gan_bench.report.tables.summary import COST_CONDITIONS, COSTS

COST_KEY = ["dataset", "label"]


def costs_table(runs: pd.DataFrame) -> pd.DataFrame:
    """Return one row per (data set, model, device, arithmetic, threads, lanes): medians over runs.

    Failed runs are left out: one may have stopped before its first step. All learning rates count, for a step
    costs the same at each.
    """
    kept = runs[runs["status"] != "failed"]
    numeric = kept.assign(**{name: pd.to_numeric(kept[name]) for name in COSTS})
    keys = [*COST_KEY, *COST_CONDITIONS]
    return numeric.groupby(keys, sort=True)[list(COSTS)].median().reset_index()


def cost_columns(costs: pd.DataFrame, row: Any) -> dict[str, Any]:
    """Return the costs of a row's model; NaN where its trainings ran under several conditions."""
    found = costs_of(costs, row)
    return {name: float(found[name].iloc[0]) if len(found) == 1 else math.nan for name in COSTS}


def costs_of(costs: pd.DataFrame, row: Any) -> pd.DataFrame:
    """Return the costs of a row's model, a row for each set of conditions."""
    found: pd.DataFrame = costs[(costs["dataset"] == row["dataset"]) & (costs["label"] == row["label"])]
    return found
