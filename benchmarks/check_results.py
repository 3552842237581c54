"""Check that a results folder is complete: files and columns are present, scores finite, images readable.

python benchmarks/check_results.py DIR --runs N
"""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image


def _words(text: str) -> list[str]:
    return text.split()


SCHEMA_VERSION = 2
RUN_FILES = _words(
    "spec.json environment.json epochs.csv scores.json record.json "
    "checkpoint.json checkpoint.safetensors samples/epoch_0001.png samples/progress.gif"
)
REPORT_FILES = _words("runs.csv runs.parquet scores.csv summary.csv leaderboard.csv report.md index.html")
EPOCH_COLUMNS = _words("epoch step d_loss g_loss d_real_accuracy d_fake_accuracy epoch_seconds images_per_second")
METRICS = _words("fid inception_score_mean inception_score_std kid_mean precision recall modes_covered")
SCORE_KEYS = _words("metric value protocol draw epoch step checkpoint weights real_reference noise_reference")
PROTOCOL_KEYS = _words(
    "extractor_sha256 dataset_sha256 reference_split n_real n_fake weights batch_norm kid_subset_size"
)
IDENTITY = _words("model loss penalty dataset")
COLUMNS = {
    "runs.csv": [
        *METRICS,
        *IDENTITY,
        *_words("run_id image_size seed lr_g lr_d batch_size steps epochs status verdict"),
        *_words("extractor n_real n_fake epoch_seconds_median train_seconds images_per_second eval_seconds"),
        *_words("peak_memory_bytes g_params d_params device train_precision lanes attempts"),
        *_words("torch_version gan_bench_version commit"),
    ],
    "scores.csv": [*IDENTITY, *(key for key in SCORE_KEYS if key != "protocol"), "protocol_id", *PROTOCOL_KEYS],
    "summary.csv": [
        *IDENTITY,
        *_words("lr_g lr_d protocol_id n mean std n_draws std_draws median iqm interval_low interval_high"),
        *_words("real_reference noise_reference"),
    ],
    "leaderboard.csv": [*IDENTITY, *_words("rank rate rate_choice protocol_id mean std std_draws versus_best")],
}
"""Columns that each table has at least."""
PROTOCOL_ID = r"p[0-9a-f]{8}"


def faults(folder: Path, runs: int) -> Iterator[str]:
    """Yield every fault of a results folder with that many finished runs."""
    found = sorted(path for path in (folder / "runs").glob("*") if path.is_dir())
    if len(found) != runs:
        yield f"{folder}: {len(found)} runs instead of {runs}"
    for run in found:
        yield from run_faults(run)
    yield from report_faults(folder / "report", runs)


def run_faults(run: Path) -> Iterator[str]:
    """Yield the faults of one run's folder."""
    missing = [name for name in RUN_FILES if not (run / name).is_file()]
    if missing:
        yield f"{run}: no {', '.join(missing)}"
        return
    record = json.loads((run / "record.json").read_text())
    if record["schema_version"] != SCHEMA_VERSION:
        yield f"{run}/record.json: schema {record['schema_version']} instead of {SCHEMA_VERSION}"
    if record["status"] != "done":
        yield f"{run}: {record['status']}: {record['reason']}"
    epochs = pd.read_csv(run / "epochs.csv")
    if list(epochs.columns) != EPOCH_COLUMNS:
        yield f"{run}/epochs.csv: its columns are {list(epochs.columns)}"
    elif not epochs.map(math.isfinite).to_numpy().all():
        yield f"{run}/epochs.csv: a number is not finite"
    yield from score_faults(run / "scores.json", record)
    grids = sorted((run / "samples").glob("epoch_*.png"))
    if len(grids) != len(epochs):
        yield f"{run}/samples: {len(grids)} sample grids of {len(epochs)} epochs"
    for image in sorted((run / "samples").iterdir()):
        yield from image_faults(image)


def score_faults(path: Path, record: dict[str, Any]) -> Iterator[str]:
    """Yield the faults of a scores.json."""
    scores = json.loads(path.read_text())
    for score in scores:
        absent = [key for key in SCORE_KEYS if key not in score]
        absent += [key for key in PROTOCOL_KEYS if not score.get("protocol", {}).get(key)]
        if absent:
            yield f"{path}: {score.get('metric')} has no {', '.join(absent)}"
        elif score["value"] is None or not math.isfinite(score["value"]):
            yield f"{path}: {score['metric']} is {score['value']}"
    for which in ("last", "best") if record["best_epoch"] else ("last",):
        missing = set(METRICS) - {score["metric"] for score in scores if score["checkpoint"] == which}
        if missing:
            yield f"{path}: no {', '.join(sorted(missing))} of the {which} checkpoint"


def report_faults(report: Path, runs: int) -> Iterator[str]:
    """Yield the faults of a report folder."""
    missing = [
        name for name in REPORT_FILES if not (report / name).is_file() or not (report / name).stat().st_size
    ]
    if missing:
        yield f"{report}: no {', '.join(missing)}"
        return
    tables = {name: pd.read_csv(report / name) for name in COLUMNS}
    complete = True
    for name, columns in COLUMNS.items():
        if tables[name].empty:
            yield f"{report}/{name}: it is empty"
        absent = [column for column in columns if column not in tables[name]]
        if absent:
            complete = False
            yield f"{report}/{name}: no column {', '.join(absent)}"
    table = tables["runs.csv"]
    if len(table) != runs or len(pd.read_parquet(report / "runs.parquet")) != runs:
        yield f"{report}: runs.csv or runs.parquet does not have {runs} rows"
    if complete:
        if not table[METRICS].map(math.isfinite).to_numpy().all():
            yield f"{report}/runs.csv: a score is not finite"
        for key in sorted(set(tables["scores.csv"]["protocol_id"].astype(str))):
            if not re.fullmatch(PROTOCOL_ID, key):
                yield f"{report}/scores.csv: {key} is not a protocol id"
    yield from plot_faults(report / "plots")


def plot_faults(folder: Path) -> Iterator[str]:
    """Yield the faults of a report's plots."""
    plots = sorted(folder.glob("*.png"))
    if not plots:
        yield f"{folder}: no plots"
    for plot in plots:
        yield from image_faults(plot)
        if not plot.with_suffix(".svg").is_file():
            yield f"{plot}: no .svg beside it"


def image_faults(path: Path) -> Iterator[str]:
    """Yield why an image can't be read, or that it has a single color."""
    try:
        with Image.open(path) as image:
            image.load()
            darkest, brightest = image.convert("L").getextrema()
    except (OSError, SyntaxError, ValueError) as error:
        yield f"{path}: not a readable image ({error})"
        return
    if darkest == brightest:
        yield f"{path}: has a single color"


def main() -> int:
    """Print every fault; return 1 if there is one."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", type=int, required=True, help="expected number of finished runs")
    arguments = parser.parse_args()
    found = list(faults(arguments.folder, arguments.runs))
    for fault in found:
        print(f"FAULT {fault}", file=sys.stderr)
    if not found:
        print(f"{arguments.folder}: {arguments.runs} runs and their report are complete")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
