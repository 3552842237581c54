"""Runs as tables: one row a run, a score, an epoch, or a run under a protocol."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import pandas as pd

from gan_bench.record import Score, StoredRun
from gan_bench.spec import EvalProtocol, RunSpec

Row: TypeAlias = dict[str, Any]

SCORE_COLUMNS = (
    "fid",
    "inception_score_mean",
    "inception_score_std",
    "kid_mean",
    "precision",
    "recall",
    "modes_covered",
)
"""Scores that runs.csv always has a column for; other metrics follow them."""

PROTOCOL_NAMES = {name: name for name in EvalProtocol.model_fields} | {"seed": "protocol_seed"}
"""What a protocol's fields are called in scores.csv, where `seed` is the training's."""
PROTOCOL_COLUMNS = ("protocol_id", *PROTOCOL_NAMES.values())
IDENTITY = ("model", "loss", "dataset", "image_size")


def rate_text(lr_g: float, lr_d: float) -> str:
    """Return learning rates as people type them: 2e-4, or 4e-4:1e-4 (G:D) where the two differ."""
    texts = []
    for rate in (lr_g, lr_d):
        mantissa, exponent = f"{rate:.6e}".split("e")
        texts.append(f"{float(mantissa):g}e{int(exponent)}")
    return texts[0] if lr_g == lr_d else ":".join(texts)


def environment_value(environment: Mapping[str, Any], *names: str) -> str:
    """Return the first of `names` that an environment has, at its top or one level down; else empty text."""
    levels = [environment, *(value for value in environment.values() if isinstance(value, Mapping))]
    for name in names:
        for level in levels:
            if isinstance(level.get(name), (str, int, float)):
                return str(level[name])
    return ""


def labels(runs: Sequence[StoredRun]) -> dict[str, str]:
    """Return for each run_id what every table calls its training: `dcgan28`, or `dcgan28 (width=0.5)`."""
    text = variants(runs)
    return {run.record.run_id: _label(run.spec, text[run.record.run_id]) for run in runs}


def _label(spec: RunSpec, variant: str) -> str:
    return f"{spec.label} ({variant})" if variant else spec.label


def threads_text(environment: Mapping[str, Any]) -> str:
    """Return how many CPU threads a run computed with, as text; empty where its environment doesn't say."""
    threads = environment.get("threads")
    return str(threads) if isinstance(threads, int) else ""


def variants(runs: Sequence[StoredRun]) -> dict[str, str]:
    """Return for each run_id what sets it apart from other runs of its model, loss and data set, as text.

    Rates and seeds apart: `width=0.5, epochs=3`; empty where all settings are equal.
    """
    groups: dict[tuple[str, str, str], dict[str, Row]] = defaultdict(dict)
    for run in runs:
        spec = run.spec
        groups[spec.model, spec.loss, spec.dataset][run.record.run_id] = _conditions(spec)
    texts: dict[str, str] = {}
    for members in groups.values():
        keys = sorted(set().union(*members.values()))
        differing = [key for key in keys if len({str(values.get(key)) for values in members.values()}) > 1]
        for run_id, values in members.items():
            texts[run_id] = ", ".join(f"{key}={values[key]}" for key in differing if values.get(key) is not None)
    return texts


def _conditions(spec: RunSpec) -> Row:
    own = {key: getattr(spec, key) for key in ("image_size", "batch_size", "epochs", "steps")}
    # `precision` is also the name of a score; `arithmetic` is never mistaken for it.
    return {**own, "arithmetic": spec.precision, **spec.settings}


def training_key(spec: RunSpec) -> str:
    """Return what a run trains, as text: its spec without the evaluation, which changes no training."""
    return json.dumps(spec.model_dump(mode="json", exclude={"evaluation"}), sort_keys=True)


def latest_scores(run: StoredRun) -> dict[str, dict[str, Score]]:
    """Return the last checkpoint's last scores of a run: protocol_id to metric to score."""
    last = [score for score in run.scores if score.checkpoint == "last"]
    newest: dict[str, int] = {}
    for score in last:
        key = score.protocol.protocol_id
        newest[key] = max(score.step, newest.get(key, 0))
    latest: dict[str, dict[str, Score]] = defaultdict(dict)
    for score in last:
        if score.step == newest[score.protocol.protocol_id]:
            latest[score.protocol.protocol_id][score.metric] = score
    return dict(latest)


def primary_scores(run: StoredRun) -> dict[str, Score]:
    """Return a finished run's latest scores under its first extractor: metric to score, of one protocol only."""
    if run.record.status != "done" or not run.spec.evaluation.extractors:
        return {}
    first = run.spec.evaluation.extractors[0]
    matching = [
        scores for scores in latest_scores(run).values() if next(iter(scores.values())).protocol.extractor == first
    ]
    # More than one: the run was scored again after something of the protocol changed; the newest holds.
    return max(matching, key=lambda scores: next(iter(scores.values())).step, default={})


def identity_columns(run: StoredRun, variant: str) -> Row:
    """Return the columns that say which training a row is about."""
    spec = run.spec
    return {
        "run_id": run.record.run_id,
        "label": _label(spec, variant),
        "model": spec.model,
        "loss": spec.loss,
        "dataset": spec.dataset,
        "image_size": spec.image_size,
        "variant": variant,
        "seed": spec.seed,
        "lr_g": spec.lr_g,
        "lr_d": spec.lr_d,
    }


def runs_frame(runs: Sequence[StoredRun]) -> pd.DataFrame:
    """Return one flat row a run; score columns hold its last scores under its first extractor.

    `precision` is the score; the arithmetic (fp32, tf32, bf16) is `train_precision`. Runs that are not done
    have empty score columns, so that no average takes an unfinished run for a result.
    """
    text = variants(runs)
    rows = [_run_row(run, text[run.record.run_id]) for run in runs]
    return pd.DataFrame(rows).sort_values(["label", "lr_g", "lr_d", "seed", "run_id"], ignore_index=True)


def _run_row(run: StoredRun, variant: str) -> Row:
    spec, record, scores = run.spec, run.record, primary_scores(run)
    protocol = next(iter(scores.values())).protocol if scores else None
    extractors = spec.evaluation.extractors
    values = {metric: score.value for metric, score in scores.items()}
    outcome = record.model_dump(
        include={"steps", "epochs", "status", "verdict", "verdict_reason", "reason", "attempts"}
    )
    cost = record.model_dump(
        include={"train_seconds", "eval_seconds", "warmup_seconds", "images_per_second", "step_flops"}
        | {"peak_memory_bytes", "host_peak_memory_bytes", "g_params", "d_params", "device", "device_name"}
        | {"lanes", "best_epoch", "started_at", "finished_at", "dataset_requested"}
    )
    return {
        **identity_columns(run, variant),
        "batch_size": spec.batch_size,
        **outcome,
        **dict.fromkeys(SCORE_COLUMNS, float("nan")),
        **values,
        "extractor": protocol.extractor if protocol else (extractors[0] if extractors else ""),
        "protocol_id": protocol.protocol_id if protocol else "",
        "n_real": protocol.n_real if protocol else None,
        "n_fake": protocol.n_fake if protocol else None,
        "epoch_seconds_median": run.epoch_seconds_median,
        "train_seconds_per_run": record.train_seconds / max(record.lanes, 1),
        **cost,
        "train_precision": spec.precision,
        "threads": threads_text(run.environment),
        "torch_version": environment_value(run.environment, "torch_version", "torch"),
        "gan_bench_version": environment_value(run.environment, "gan_bench_version", "gan_bench", "gan-bench"),
        "commit": environment_value(run.environment, "commit", "git_commit"),
        **{f"setting_{key}": value for key, value in spec.settings.items()},
    }


def scores_frame(runs: Sequence[StoredRun]) -> pd.DataFrame:
    """Return one row a score with every field of its protocol, its floor and its noise."""
    text = variants(runs)
    columns = ["metric", "title", "better", "value", "floor", "noise", "epoch", "step", "checkpoint"]
    rows = [
        {
            **identity_columns(run, text[run.record.run_id]),
            "status": run.record.status,
            **score.model_dump(include=set(columns)),
            "protocol_id": score.protocol.protocol_id,
            **{PROTOCOL_NAMES[name]: value for name, value in score.protocol.model_dump().items()},
        }
        for run in runs
        for score in run.scores
    ]
    head = list(identity_columns(runs[0], "")) if runs else []
    wanted = list(dict.fromkeys([*head, "status", *columns, *PROTOCOL_COLUMNS]))
    return pd.DataFrame(rows, columns=wanted)


def epochs_frame(runs: Sequence[StoredRun]) -> pd.DataFrame:
    """Return one row an epoch of a run, with the run's label and rates."""
    text = variants(runs)
    rows = [
        {**identity_columns(run, text[run.record.run_id]), "lanes": run.record.lanes, **epoch.model_dump()}
        for run in runs
        for epoch in run.epochs
    ]
    return pd.DataFrame(rows)
