"""Stored runs as dataframes: one row per run, score or epoch."""

from __future__ import annotations

import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import pandas as pd

from gan_bench.core.evaluation_spec import EvaluationProtocol
from gan_bench.core.limits import MAX_INT
from gan_bench.core.records import RunRecord, Score, StoredRun
from gan_bench.report.labels import label, variants

Row: TypeAlias = dict[str, Any]
Draws: TypeAlias = dict[int, Score]
"""One metric's scores under one protocol, by generation draw."""

SCORE_COLUMNS = (
    "fid",
    "inception_score_mean",
    "inception_score_std",
    "kid_mean",
    "precision",
    "recall",
    "modes_covered",
)
"""Metrics that always have a column in runs.csv; other metrics follow them."""
PROTOCOL_NAMES = {name: name for name in EvaluationProtocol.model_fields} | {"seed": "protocol_seed"}
"""Columns of a protocol's fields in scores.csv, where `seed` is the training's."""
PROTOCOL_COLUMNS = ("protocol_id", *PROTOCOL_NAMES.values())
CHECKS = ("duplicate_share", "pixel_copy_share", "feature_copy_share")
"""Columns that verdicts rest on; a small difference in them says nothing about quality."""
HEADLINE = "fid"
"""The metric that ranks, where a protocol has it; otherwise the first one of the protocol."""
PROVENANCE = (
    "torch_version",
    "gan_bench_version",
    "commit",
    "instruction_set",
    "blas",
    "numeric_settings",
    "model_code",
    "loss_code",
    "penalty_code",
    "dataset_sha256",
)
"""Values of environment.json that are columns of runs.csv."""
IDENTITY = ("model", "loss", "penalty", "dataset", "image_size")


def threads_text(environment: Mapping[str, Any]) -> str:
    """Return a run's number of CPU threads as text; empty where it was not recorded."""
    threads = environment.get("threads")
    return str(threads) if isinstance(threads, int) else ""


def energy_per_run(record: RunRecord) -> float:
    """Return a run's share of its group's energy in joules; NaN where it was not measured."""
    return math.nan if record.energy_joules is None else record.energy_joules / max(record.lanes, 1)


def final_scores(run: StoredRun) -> dict[str, dict[str, Draws]]:
    """Return the scores at the end of a finished training: protocol id to metric to draws.

    Empty for a run that is not done. Excludes intermediate scores and those of the best checkpoint.
    """
    found: dict[str, dict[str, Draws]] = defaultdict(lambda: defaultdict(dict))
    if run.record.status == "done":
        for score in run.scores:
            if score.checkpoint == "last" and score.step == run.record.steps:
                found[score.protocol.protocol_id][score.metric][score.draw] = score
    return {key: dict(metrics) for key, metrics in found.items()}


def protocol_of(metrics: Mapping[str, Draws]) -> EvaluationProtocol:
    """Return the protocol that scores of one protocol share."""
    return next(iter(next(iter(metrics.values())).values())).protocol


def mean_over_draws(draws: Draws) -> float:
    """Return a metric's value for one training: the mean over its generation draws."""
    return statistics.fmean(score.value for score in draws.values())


def protocol_order(runs: Iterable[StoredRun]) -> list[str]:
    """Return the ids of the protocols that scored finished runs, the main protocol first.

    The order is: most runs scored, with the headline metric, the data set's own extractor, most metrics, the
    newest, the id.
    """
    counts: Counter[str] = Counter()
    protocols: dict[str, EvaluationProtocol] = {}
    newest: dict[str, tuple[str, int]] = {}
    columns: dict[str, set[str]] = defaultdict(set)
    for run in runs:
        place = {score.protocol.protocol_id: index for index, score in enumerate(run.scores)}
        for key, metrics in final_scores(run).items():
            counts[key] += 1
            protocols[key] = protocol_of(metrics)
            columns[key] |= set(metrics)
            newest[key] = max(newest.get(key, ("", 0)), (run.record.finished_at, place[key]))
    by_age = sorted(sorted(protocols), key=lambda key: newest[key], reverse=True)
    return sorted(
        by_age,
        key=lambda key: (
            -counts[key],
            HEADLINE not in columns[key],
            not _own_extractor(protocols[key]),
            -len(columns[key]),
        ),
    )


def _own_extractor(protocol: EvaluationProtocol) -> bool:
    return protocol.extractor == f"{protocol.dataset}-cnn"


def primary_scores(run: StoredRun, order: Sequence[str] = ()) -> dict[str, Score]:
    """Return a finished run's scores under one protocol by metric, each with the mean over draws as its value.

    The protocol is the first of `order` that scored the run, or its own main protocol without an order.
    """
    scores = final_scores(run)
    key = next((key for key in order or protocol_order([run]) if key in scores), "")
    return {
        metric: next(iter(draws.values())).model_copy(update={"value": mean_over_draws(draws)})
        for metric, draws in scores.get(key, {}).items()
    }


def identity_columns(run: StoredRun, variant: str) -> Row:
    """Return the columns that identify a row's training."""
    spec = run.spec
    return {
        "run_id": run.record.run_id,
        "label": label(spec, variant),
        **{name: getattr(spec, name) for name in IDENTITY},
        "variant": variant,
        "seed": spec.seed,
        "lr_g": spec.lr_g,
        "lr_d": spec.lr_d,
    }


def runs_frame(runs: Sequence[StoredRun]) -> pd.DataFrame:
    """Return one flat row per run; score columns hold its scores under the first protocol of `protocol_order`.

    `precision` is the metric; the arithmetic (fp32, tf32, bf16) is `train_precision`. Score columns of runs that
    are not done are empty.
    """
    text, order = variants(runs), protocol_order(runs)
    frame = pd.DataFrame([_run_row(run, text[run.record.run_id], order) for run in runs])
    return frame.sort_values(["label", "lr_g", "lr_d", "seed", "run_id"], ignore_index=True) if runs else frame


def _run_row(run: StoredRun, variant: str, order: Sequence[str]) -> Row:
    spec, record, scores = run.spec, run.record, primary_scores(run, order)
    protocol = next(iter(scores.values())).protocol if scores else None
    outcome = record.model_dump(
        include={"steps", "epochs", "status", "verdict", "verdict_reason", "reason", "attempts"}
        | {"evaluation_failure"}
    )
    cost = record.model_dump(
        include={"train_seconds", "eval_seconds", "warmup_seconds", "images_per_second", "step_flops"}
        | {"peak_memory_bytes", "host_peak_memory_bytes", "g_params", "d_params", "device", "device_name"}
        | {"energy_joules", "energy_source", "lanes", "best_epoch"}
        | {"started_at", "finished_at", "dataset_requested"}
    )
    return {
        **identity_columns(run, variant),
        "batch_size": spec.batch_size,
        "dropped_share": dropped_share(run),
        **outcome,
        **dict.fromkeys(SCORE_COLUMNS, float("nan")),
        **{metric: score.value for metric, score in scores.items()},
        **protocol_columns(protocol),
        "epoch_seconds_median": run.epoch_seconds_median,
        "train_seconds_per_run": record.train_seconds / max(record.lanes, 1),
        "energy_joules_per_run": energy_per_run(record),
        **cost,
        "train_precision": spec.precision,
        "threads": threads_text(run.environment),
        **{name: _text(run.environment, name) for name in PROVENANCE},
        **{f"setting_{key}": value for key, value in spec.settings.items()},
    }


def dropped_share(run: StoredRun) -> float:
    """Return the share of the training images that an epoch of a run leaves out; NaN if it was not recorded."""
    images = run.environment.get("train_images")
    if not isinstance(images, int) or not 0 < images < MAX_INT:
        return float("nan")
    return run.spec.dropped_images(images) / images


def _text(environment: Mapping[str, Any], name: str) -> str:
    value = environment.get(name)
    return value if isinstance(value, str) else ""


def protocol_columns(protocol: EvaluationProtocol | None) -> Row:
    """Return the columns that identify a protocol; empty values for None."""
    empty = {"extractor": "", "protocol_id": "", "n_real": None, "n_fake": None}
    empty |= {"reference_split": "", "weights": "", "batch_norm": ""}
    return {name: getattr(protocol, name, value) for name, value in empty.items()}


def protocol_text(row: Mapping[str, Any] | pd.Series[Any], two_lines: bool = False) -> str:
    """Return a protocol as text, from a row with its columns: data set, extractor, images and id."""
    key, fake, real = row["protocol_id"], f"{int(row['n_fake']):,}", f"{int(row['n_real']):,}"
    head = [row["dataset"], row["extractor"]]
    head += [f"{row['weights']} weights"] if row["weights"] != "raw" else []
    head += [f"BatchNorm {row['batch_norm']}"] if row["batch_norm"] != "running" else []
    if two_lines:
        return f"{', '.join(head)}\n{fake} generated / {real} real {row['reference_split']} images [{key}]"
    return f"{', '.join(head)}, {fake} generated against {real} real {row['reference_split']} images [{key}]"


def scores_frame(runs: Sequence[StoredRun]) -> pd.DataFrame:
    """Return one row per score, with both references and every field of its protocol."""
    text = variants(runs)
    columns = ["metric", "title", "better", "value", "draw", "real_reference", "noise_reference"]
    columns += ["epoch", "step", "checkpoint"]
    rows = [
        {
            **identity_columns(run, text[run.record.run_id]),
            "status": run.record.status,
            **score.model_dump(include=set(columns)),
            "title": score.full_title,
            "protocol_id": score.protocol.protocol_id,
            **{PROTOCOL_NAMES[name]: value for name, value in score.protocol.model_dump().items()},
        }
        for run in runs
        for score in run.scores
    ]
    head = list(identity_columns(runs[0], "")) if runs else []
    wanted = list(dict.fromkeys([*head, "status", *columns, *PROTOCOL_COLUMNS]))
    return pd.DataFrame(rows, columns=wanted)


def average_draws(scores: pd.DataFrame) -> pd.DataFrame:
    """Return a scores frame with the generation draws of each evaluation averaged to one row."""
    keys = ["run_id", "protocol_id", "metric", "checkpoint", "step"]
    means = scores.groupby(keys, sort=False)["value"].transform("mean")
    return scores.assign(value=means).drop_duplicates(keys).drop(columns="draw")


def epochs_frame(runs: Sequence[StoredRun]) -> pd.DataFrame:
    """Return one row per epoch of a run, with the run's label and rates."""
    text = variants(runs)
    rows = [
        {**identity_columns(run, text[run.record.run_id]), "lanes": run.record.lanes, **epoch.model_dump()}
        for run in runs
        for epoch in run.epochs
    ]
    return pd.DataFrame(rows)
