"""gan-bench worker: train what is left of a planned matrix."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import click

from gan_bench.cli import options as shared
from gan_bench.core import signals
from gan_bench.core.image_source import parse_source
from gan_bench.core.option_fields import MatrixFields

REQUEUE_SECONDS = 30


@click.command()
@click.argument("folder", metavar="DIR", type=shared.UserPath())
@shared.shared_options("device", "lanes", "jobs", "data_root", "offline", "plugins", "alpha", "skip_bad")
@shared.shared_options("dataset", of=MatrixFields)
@shared.json_option
def worker(folder: Path, **given: Any) -> None:
    """Train and evaluate what is left in DIR of what `gan-bench run` planned, until nothing is.

    Start as many as there is room for, on any machines that share the folder: each run is trained once, a dead
    worker's run is continued from its checkpoint. SIGUSR1 or SIGTERM: checkpoint and stop; within Slurm, SIGUSR1
    also puts the job back in the queue.

    \b
    gan-bench run --models dcgan --seeds 0-9 --out results/big --detach
    gan-bench worker results/big
    """
    from gan_bench import api
    from gan_bench.cli.run import conclude
    from gan_bench.cli.ui.output import echo
    from gan_bench.cli.ui.progress_display import ProgressDisplay
    from gan_bench.store.store import Store

    source = parse_source(given["dataset"])
    options = shared.make_options(given)
    options = options.model_copy(update={"out": folder, "image_sources": (source,) if source else ()})
    as_json: bool = given["as_json"]
    try:
        with ProgressDisplay(as_json) as display:
            wanted = dict.fromkeys(run_id for plan in api.stored_plans(folder) for run_id in plan.run_ids)
            unfinished = [spec for spec in Store.open(folder, create=False).unfinished() if spec.run_id in wanted]
            display.expect(
                f"{len(wanted)} planned runs in {folder}, {len(unfinished)} without a result", unfinished
            )
            records = api.work(options, display)
    except signals.Interrupted as stop:
        if str(stop) == "SIGUSR1":
            _requeue()
        raise
    if not as_json:
        echo(f"Nothing is left of what was planned. `gan-bench report {folder}` writes the report.")
    conclude([], records, folder, as_json)


def _requeue() -> None:
    """Put this Slurm job back in the queue: its time is over, or a job of higher priority needs the node."""
    from gan_bench.cli.ui.output import print_error_line

    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    # the number of one task of an array is that of the whole array
    job = f"{array}_{task}" if array and task else os.environ.get("SLURM_JOB_ID")
    if not job or not shutil.which("scontrol"):
        return
    try:
        subprocess.run(["scontrol", "requeue", job], check=True, timeout=REQUEUE_SECONDS, capture_output=True)
    except (OSError, subprocess.SubprocessError) as error:
        print_error_line(f"job {job} could not be put back in the queue: {error}")
