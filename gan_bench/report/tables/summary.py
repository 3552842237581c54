"""Summary: the statistics of every configuration at every learning rate."""

from __future__ import annotations

from typing import Any

import pandas as pd

from gan_bench.report.dataframes import IDENTITY, Row
from gan_bench.report.statistics import estimate, scale_of

ENTRY = ["label", *IDENTITY, "variant", "protocol_id"]
"""Columns that identify one row of the leaderboard."""
CELL = [*ENTRY, "lr_g", "lr_d"]
"""Columns that identify one row of the summary."""
MEASURED = [
    "epoch_seconds_median",
    "train_seconds_per_run",
    "images_per_second",
    "peak_memory_bytes",
    "energy_joules_per_run",
]
COSTS = [*MEASURED, "g_params", "d_params"]
QUALITY_CONDITIONS = {"budget": "training length", "batch_size": "batch size", "train_precision": "arithmetic"}
"""Conditions that a fair comparison of scores holds equal: columns with their names in text."""
COST_CONDITIONS = {
    "device_name": "device",
    "train_precision": "arithmetic",
    "threads": "CPU threads",
    "lanes": "lanes",
}
"""Conditions that a fair comparison of times holds equal."""
LOST = ("diverged", "failed")
"""Outcomes that count as worse than every score."""
VERDICTS = ("undertrained", "collapsed", "memorised", "inconclusive")


def summary_table(scores: pd.DataFrame) -> pd.DataFrame:
    """Return one row per (model, loss, penalty, data set, size, variant, rates, protocol) of `training_scores`.

    Statistics are of the headline metric over trainings: `n` counts scored trainings, `n_runs` all. `std` is the
    spread over training seeds; `std_draws` is the mean over trainings of the spread over `n_draws` generation
    draws. Columns of other metrics are means. Costs (medians) and conditions are of trainings that did not fail: a
    failed one may have stopped before its first step.
    """
    rows = [summary_row(cell) for _, cell in scores.groupby(CELL, sort=True, dropna=False)]
    return pd.DataFrame(rows)


def summary_row(cell: pd.DataFrame, contenders: int = 1) -> Row:
    """Return the row of some trainings of one model under one protocol; `contenders` as in `estimate`."""
    first = cell.iloc[0]
    found = estimate(cell["value"].to_numpy(dtype=float), scale_of(str(first["metric"])), contenders)
    metrics = [column for column in cell.columns if column.startswith("score_")]
    trained = cell[cell["status"] != "failed"]
    protocol = ["extractor", "reference_split", "n_real", "n_fake", "weights", "batch_norm"]
    return {
        **{key: first[key] for key in [*CELL, *protocol, "metric", "title", "better"]},
        "n": found.n,
        "mean": found.mean,
        "std": found.std,
        "n_draws": _draws(cell),
        "std_draws": cell["std_draws"].mean(),
        "median": found.median,
        "iqm": found.iqm,
        "interval_low": found.low,
        "interval_high": found.high,
        "real_reference": first.get("real_reference"),
        "noise_reference": first.get("noise_reference"),
        "n_runs": len(cell),
        **{f"n_{status}": int((cell["status"] == status).sum()) for status in LOST},
        **{f"n_{verdict}": int((cell["verdict"] == verdict).sum()) for verdict in VERDICTS},
        **{column: pd.to_numeric(trained[column]).median() for column in COSTS},
        **{key: _joined(trained[key]) for key in QUALITY_CONDITIONS | COST_CONDITIONS},
        **{column.removeprefix("score_"): cell[column].mean() for column in metrics},
    }


def _draws(cell: pd.DataFrame) -> int:
    """Return the smallest number of draws of a training: of those with a spread if any, else of scored ones."""
    spread = cell["std_draws"].notna()
    draws = cell.loc[spread if spread.any() else cell["n_draws"] > 0, "n_draws"]
    return int(draws.min()) if len(draws) else 0


def _joined(column: pd.Series[Any]) -> str:
    """Return the distinct values as text, numbers in ascending order."""
    values = {str(value) for value in column if str(value)}
    return ", ".join(sorted(values, key=lambda text: (int(text) if text.isdecimal() else 0, text)))
