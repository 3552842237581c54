"""Scores of trainings: one row per run and protocol, from which statistics, rankings and plots are computed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
import pandas as pd

from gan_bench.core.evaluation_spec import EvaluationProtocol
from gan_bench.core.records import StoredRun
from gan_bench.report import dataframes
from gan_bench.report.labels import variants

Protocols: TypeAlias = dict[str, EvaluationProtocol | None]


def training_scores(runs: Sequence[StoredRun]) -> pd.DataFrame:
    """Return one row per (run, protocol): headline metric, its value and references, and every metric's value.

    A value is the mean over the generation draws of one training; `std_draws` is the headline's standard deviation
    over them (ddof 1). A run that is not done, or has no score, gets a row with empty values under each protocol
    that scored runs of its data set and image size, so that every table counts it.
    """
    text = variants(runs)
    scores = {run.record.run_id: dataframes.final_scores(run) for run in runs}
    by_data = _protocols_by_data(runs, scores)
    headlines = _headlines(runs)
    rows = []
    for run in runs:
        own = scores[run.record.run_id]
        others = by_data[run.spec.dataset, run.spec.image_size]
        protocols: Protocols = {key: dataframes.protocol_of(own[key]) for key in own} or {**others} or {"": None}
        head = {**dataframes.identity_columns(run, text[run.record.run_id]), **_outcome(run)}
        for key, protocol in protocols.items():
            headline = headlines.get(key, {"metric": "", "title": "score", "better": "lower"})
            metrics = own.get(key, {})
            values = {f"score_{metric}": dataframes.mean_over_draws(draws) for metric, draws in metrics.items()}
            rows.append(
                {
                    **head,
                    **dataframes.protocol_columns(protocol),
                    **headline,
                    "value": values.get(f"score_{headline['metric']}", np.nan),
                    **_draw_columns(metrics.get(str(headline["metric"]), {})),
                    **values,
                }
            )
    return pd.DataFrame(rows)


def _draw_columns(draws: dataframes.Draws) -> dataframes.Row:
    values = [score.value for score in draws.values()]
    return {"n_draws": len(values), "std_draws": float(np.std(values, ddof=1)) if len(values) > 1 else np.nan}


def _protocols_by_data(
    runs: Sequence[StoredRun], scores: Mapping[str, Mapping[str, Mapping[str, dataframes.Draws]]]
) -> dict[tuple[str, int], Protocols]:
    """Return the protocols that scored runs of each data set and image size."""
    found: dict[tuple[str, int], Protocols] = defaultdict(dict)
    for run in runs:
        for key, metrics in scores[run.record.run_id].items():
            found[run.spec.dataset, run.spec.image_size].setdefault(key, dataframes.protocol_of(metrics))
    return found


def _headlines(runs: Sequence[StoredRun]) -> dict[str, dataframes.Row]:
    """Return each protocol's headline metric with its title, direction and references."""
    found: dict[str, dataframes.Row] = {}
    references = ("real_reference", "noise_reference")
    for run in runs:
        for score in run.scores:
            key = score.protocol.protocol_id
            current = found.get(key)
            if current is None or (
                score.metric == dataframes.HEADLINE and current["metric"] != dataframes.HEADLINE
            ):
                own = score.model_dump(include={"metric", "better", *references})
                found[key] = {**own, "title": score.full_title}
            elif current["metric"] == score.metric:
                for reference in references:
                    if current[reference] is None:
                        current[reference] = getattr(score, reference)
    return found


def _outcome(run: StoredRun) -> dataframes.Row:
    spec, record = run.spec, run.record
    kept = {"status", "verdict", "images_per_second", "peak_memory_bytes", "g_params", "d_params"}
    return {
        **record.model_dump(include=kept | {"device", "device_name", "lanes"}),
        "epoch_seconds_median": run.epoch_seconds_median,
        "train_seconds_per_run": record.train_seconds / max(record.lanes, 1),
        "energy_joules_per_run": dataframes.energy_per_run(record),
        "train_precision": spec.precision,
        "threads": dataframes.threads_text(run.environment),
        "budget": f"{spec.steps:,} steps" if spec.steps else f"{spec.epochs} epochs",
        "batch_size": spec.batch_size,
    }
