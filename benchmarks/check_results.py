"""Check that a results folder is whole: every file is there, every score is finite, every picture can be read.

python benchmarks/check_results.py DIR --runs N
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from PIL import Image


def _words(text: str) -> list[str]:
    return text.split()


RUN_FILES = _words(
    "spec.json environment.json epochs.csv scores.json record.json "
    "checkpoint.json checkpoint.safetensors samples/epoch_0001.png samples/progress.gif"
)
REPORT_FILES = _words("runs.csv runs.parquet scores.csv summary.csv leaderboard.csv report.md index.html")
EPOCH_COLUMNS = _words("epoch step d_loss g_loss d_real_accuracy d_fake_accuracy epoch_seconds images_per_second")
SCORES = _words("fid inception_score_mean inception_score_std kid_mean precision recall modes_covered")
RUN_COLUMNS = SCORES + _words(
    "run_id model loss dataset image_size seed lr_g lr_d batch_size steps epochs status verdict "
    "extractor n_real n_fake epoch_seconds_median train_seconds images_per_second eval_seconds "
    "peak_memory_bytes g_params d_params device train_precision lanes attempts "
    "torch_version gan_bench_version commit"
)


def faults(folder: Path, runs: int) -> Iterator[str]:
    """Yield everything that is wrong with a results folder of so many finished runs."""
    found = sorted(path for path in (folder / "runs").glob("*") if path.is_dir())
    if len(found) != runs:
        yield f"{folder}: {len(found)} runs instead of {runs}"
    for run in found:
        yield from run_faults(run)
    yield from report_faults(folder / "report", runs)


def run_faults(run: Path) -> Iterator[str]:
    """Yield what is wrong with one run's folder."""
    missing = [name for name in RUN_FILES if not (run / name).is_file()]
    if missing:
        yield f"{run}: no {', '.join(missing)}"
        return
    record = json.loads((run / "record.json").read_text())
    if record["status"] != "done":
        yield f"{run}: {record['status']}: {record['reason']}"
    epochs = pd.read_csv(run / "epochs.csv")
    if list(epochs.columns) != EPOCH_COLUMNS:
        yield f"{run}/epochs.csv: its columns are {list(epochs.columns)}"
    elif not epochs.map(math.isfinite).to_numpy().all():
        yield f"{run}/epochs.csv: a number is not finite"
    scores = json.loads((run / "scores.json").read_text())
    for score in scores:
        if score["value"] is None or not math.isfinite(score["value"]):
            yield f"{run}/scores.json: {score['metric']} is {score['value']}"
        if not score["protocol"].get("extractor_sha256"):
            yield f"{run}/scores.json: {score['metric']} does not say what it was measured with"
    for which in ("last", "best"):
        absent = set(SCORES) - {score["metric"] for score in scores if score["checkpoint"] == which}
        if absent:
            yield f"{run}/scores.json: no {', '.join(sorted(absent))} of the {which} checkpoint"
    grids = sorted((run / "samples").glob("epoch_*.png"))
    if len(grids) != len(epochs):
        yield f"{run}/samples: {len(grids)} grids of {len(epochs)} epochs"
    for picture in sorted((run / "samples").iterdir()):
        yield from picture_faults(picture)


def report_faults(report: Path, runs: int) -> Iterator[str]:
    """Yield what is wrong with the report."""
    missing = [
        name for name in REPORT_FILES if not (report / name).is_file() or not (report / name).stat().st_size
    ]
    if missing:
        yield f"{report}: no {', '.join(missing)}"
        return
    table = pd.read_csv(report / "runs.csv")
    lacking = [column for column in RUN_COLUMNS if column not in table]
    if lacking:
        yield f"{report}/runs.csv: no column {', '.join(lacking)}"
    elif not table[SCORES].map(math.isfinite).to_numpy().all():
        yield f"{report}/runs.csv: a score is not finite"
    if len(table) != runs or len(pd.read_parquet(report / "runs.parquet")) != runs:
        yield f"{report}: runs.csv or runs.parquet has not {runs} rows"
    for name in ("scores.csv", "summary.csv", "leaderboard.csv"):
        if pd.read_csv(report / name).empty:
            yield f"{report}/{name}: it is empty"
    plots = sorted((report / "plots").glob("*.png"))
    if not plots:
        yield f"{report}/plots: no plots"
    for plot in plots:
        yield from picture_faults(plot)
        if not plot.with_suffix(".svg").is_file():
            yield f"{plot}: no .svg beside it"


def picture_faults(path: Path) -> Iterator[str]:
    """Yield why a picture can't be read, or shows nothing."""
    try:
        with Image.open(path) as image:
            image.load()
            darkest, brightest = image.convert("L").getextrema()
    except (OSError, SyntaxError, ValueError) as error:
        yield f"{path}: not a picture that can be read ({error})"
        return
    if darkest == brightest:
        yield f"{path}: one colour all over"


def main() -> int:
    """Print every fault; return 1 if there is one."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", type=int, required=True, help="how many finished runs there must be")
    asked = parser.parse_args()
    found = list(faults(asked.folder, asked.runs))
    for fault in found:
        print(f"FAULT {fault}", file=sys.stderr)
    if not found:
        print(f"{asked.folder}: {asked.runs} runs and their report are whole")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
