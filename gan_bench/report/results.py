"""What each run achieved under each protocol: the table that all statistics, rankings and plots start from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import pandas as pd

from gan_bench.record import Status, StoredRun
from gan_bench.report.frame import Row, identity_columns, latest_scores, threads_text, training_key, variants
from gan_bench.spec import EvalProtocol

Scope: TypeAlias = tuple[str, int, int, tuple[str, ...]]
Standing: TypeAlias = tuple[int, bool, int, str, str]

HEADLINE = "fid"
"""The metric that ranks, where a protocol has it; else the first one that was measured."""
STANDING: tuple[Status, ...] = ("failed", "diverged", "done")
"""Of runs of one training, the last of these stands for it."""


def results_frame(runs: Sequence[StoredRun]) -> pd.DataFrame:
    """Return one row a (training, protocol): headline metric, its value, floor and noise, and all metrics' values.

    Runs that differ only in how they are evaluated are one training, and no further seeds: under each protocol
    the one with most to tell stands for all, the newest of equals.

    A run without scores (diverged, failed) has a row with an empty value under each protocol that it would have
    been scored with, so that no table loses it. A run that is not done has no value, whatever it was scored
    at on its way.
    """
    text, latest = variants(runs), [latest_scores(run) for run in runs]
    protocols = _protocols_by_scope(runs)
    headlines = _headlines(runs)
    kept: dict[tuple[str, str], tuple[Standing, Row]] = {}
    for run, scores in zip(runs, latest, strict=True):
        known: dict[str, EvalProtocol | None] = {
            key: next(iter(found.values())).protocol for key, found in scores.items()
        }
        for key, protocol in (known or protocols.get(_scope(run)) or {"": None}).items():
            head = {**identity_columns(run, text[run.record.run_id]), **_outcome(run)}
            values = {metric: score.value for metric, score in scores.get(key, {}).items()}
            if run.record.status != "done":
                values = dict.fromkeys(values, np.nan)
            headline = headlines.get(key, {"metric": "", "title": "score", "better": "lower"})
            value = {"value": values.get(str(headline["metric"]), np.nan)}
            row = {**head, **_protocol_columns(key, protocol), **headline, **value, **_prefixed(values)}
            place, standing = (training_key(run.spec), key), _standing(run, row)
            if place not in kept or standing > kept[place][0]:
                kept[place] = standing, row
    return pd.DataFrame([row for _, row in kept.values()])


def _standing(run: StoredRun, row: Row) -> Standing:
    """Return what decides between runs of one training: status, headline, number of metrics, and then the time."""
    record, metrics = run.record, sum(name.startswith("score_") for name in row)
    # A newer run may have measured less: without its headline the training would be lost to the ranking.
    return STANDING.index(record.status), bool(pd.notna(row["value"])), metrics, record.finished_at, record.run_id


def _scope(run: StoredRun) -> Scope:
    """Runs with equal scopes are scored alike: where one has no score, the others tell which one it lacks."""
    spec = run.spec
    return spec.dataset, spec.image_size, spec.evaluation.samples, spec.evaluation.extractors


def _protocols_by_scope(runs: Sequence[StoredRun]) -> dict[Scope, dict[str, EvalProtocol | None]]:
    found: dict[Scope, dict[str, EvalProtocol | None]] = defaultdict(dict)
    for run in runs:
        for score in run.scores:
            found[_scope(run)].setdefault(score.protocol.protocol_id, score.protocol)
    return found


def _headlines(runs: Sequence[StoredRun]) -> dict[str, Row]:
    """Return each protocol's headline metric with its title, direction, floor and noise."""
    found: dict[str, Row] = {}
    for run in runs:
        for score in run.scores:
            key = score.protocol.protocol_id
            current = found.get(key)
            if current is None or (score.metric == HEADLINE and current["metric"] != HEADLINE):
                found[key] = score.model_dump(include={"metric", "title", "better", "floor", "noise"})
            elif current["metric"] == score.metric:
                for reference in ("floor", "noise"):
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


def _protocol_columns(key: str, protocol: EvalProtocol | None) -> Row:
    return {
        "protocol_id": key,
        "extractor": protocol.extractor if protocol else "",
        "n_real": protocol.n_real if protocol else None,
        "n_fake": protocol.n_fake if protocol else None,
    }


def _prefixed(values: dict[str, float]) -> Row:
    return {f"score_{metric}": value for metric, value in values.items()}


def protocol_order(runs: Sequence[StoredRun], results: pd.DataFrame) -> list[str]:
    """Return the protocol ids, main one first: by the extractors' place in the specs, then by number of runs."""
    place: dict[str, int] = {}
    for run in runs:
        for index, name in enumerate(run.spec.evaluation.extractors):
            place[name] = min(index, place.get(name, index))
    keys = [
        (place.get(str(own["extractor"].iloc[0]), len(place)), -len(own), str(key))
        for key, own in results.groupby("protocol_id")
    ]
    return [key for _, _, key in sorted(keys)]
