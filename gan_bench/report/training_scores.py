"""Scores of trainings: one row per run and protocol, from which statistics, rankings and plots are computed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
import pandas as pd

from gan_bench.core.evaluation_spec import EvaluationProtocol
from gan_bench.core.records import StoredRun
from gan_bench.report.dataframes import (
    HEADLINE,
    Draws,
    Row,
    final_scores,
    identity_columns,
    mean_over_draws,
    protocol_columns,
    protocol_of,
    threads_text,
)
from gan_bench.report.labels import variants

Protocols: TypeAlias = dict[str, EvaluationProtocol | None]


def training_scores(runs: Sequence[StoredRun]) -> pd.DataFrame:
    """Return one row per (run, protocol): headline metric, its value and references, and every metric's value.

    A value is the mean over the generation draws of one training; `std_draws` is the headline's standard deviation
    over them (ddof 1). A run that is not done, or has no score, gets a row with empty values under each protocol
    that scored runs of its data set and image size, so that every table counts it.
    """
    text = variants(runs)
    scores = {run.record.run_id: final_scores(run) for run in runs}
    by_data = _protocols_by_data(runs, scores)
    headlines = _headlines(runs)
    rows = []
    for run in runs:
        own = scores[run.record.run_id]
        others = by_data[run.spec.dataset, run.spec.image_size]
        protocols: Protocols = {key: protocol_of(own[key]) for key in own} or {**others} or {"": None}
        head = {**identity_columns(run, text[run.record.run_id]), **_outcome(run)}
        for key, protocol in protocols.items():
            headline = headlines.get(key, {"metric": "", "title": "score", "better": "lower"})
            metrics = own.get(key, {})
            values = {f"score_{metric}": mean_over_draws(draws) for metric, draws in metrics.items()}
            rows.append(
                {
                    **head,
                    **protocol_columns(protocol),
                    **headline,
                    "value": values.get(f"score_{headline['metric']}", np.nan),
                    **_draw_columns(metrics.get(str(headline["metric"]), {})),
                    **values,
                }
            )
    return pd.DataFrame(rows)


def _draw_columns(draws: Draws) -> Row:
    values = [score.value for score in draws.values()]
    return {"n_draws": len(values), "std_draws": float(np.std(values, ddof=1)) if len(values) > 1 else np.nan}


def _protocols_by_data(
    runs: Sequence[StoredRun], scores: Mapping[str, Mapping[str, Mapping[str, Draws]]]
) -> dict[tuple[str, int], Protocols]:
    """Return the protocols that scored runs of each data set and image size."""
    found: dict[tuple[str, int], Protocols] = defaultdict(dict)
    for run in runs:
        for key, metrics in scores[run.record.run_id].items():
            found[run.spec.dataset, run.spec.image_size].setdefault(key, protocol_of(metrics))
    return found


def _headlines(runs: Sequence[StoredRun]) -> dict[str, Row]:
    """Return each protocol's headline metric with its title, direction and references."""
    found: dict[str, Row] = {}
    references = ("real_reference", "noise_reference")
    for run in runs:
        for score in run.scores:
            key = score.protocol.protocol_id
            current = found.get(key)
            if current is None or (score.metric == HEADLINE and current["metric"] != HEADLINE):
                found[key] = score.model_dump(include={"metric", "title", "better", *references})
            elif current["metric"] == score.metric:
                for reference in references:
                    if current[reference] is None:
                        current[reference] = getattr(score, reference)
    return found


def _outcome(run: StoredRun) -> Row:
    record = run.record
    return {
        "status": record.status,
        "verdict": record.verdict,
        "epoch_seconds_median": run.epoch_seconds_median,
        "train_seconds_per_run": record.train_seconds / max(record.lanes, 1),
        "images_per_second": record.images_per_second,
        "peak_memory_bytes": record.peak_memory_bytes,
        "g_params": record.g_params,
        "d_params": record.d_params,
        "device": record.device,
        "device_name": record.device_name,
        "train_precision": run.spec.precision,
        "threads": threads_text(run.environment),
        "lanes": record.lanes,
        "budget": f"{run.spec.steps:,} steps" if run.spec.steps else f"{run.spec.epochs} epochs",
        "batch_size": run.spec.batch_size,
    }
