"""gan-bench submit: a script of workers for Slurm or Kubernetes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from gan_bench.cli import options as shared
from gan_bench.core.errors import InputError, unknown

KUBERNETES = {"image": "", "claim": "", "cpus": "2", "memory": "8Gi", "gpus": "0", "namespace": "default"}
"""Options of a Kubernetes Job with their defaults; empty: required."""
KEY = re.compile(r"[a-z][a-z0-9-]{0,63}")
PATTERNS = {"cpus": r"[0-9]{1,4}", "gpus": r"[0-9]{1,3}", "memory": r"[0-9]{1,6}(Ki|Mi|Gi|Ti)?"}


@click.command()
@click.argument("folder", metavar="DIR", type=shared.UserPath())
@click.option(
    "--print", "system", type=click.Choice(["slurm", "k8s"]), required=True, help="The system it is written for."
)
@click.option(
    "--workers",
    type=click.IntRange(1, 10_000),
    metavar="N",
    default=4,
    show_default=True,
    help="Workers, each a task of the job.",
)
@click.option(
    "--executor-option",
    "given",
    multiple=True,
    metavar="KEY=VALUE",
    help="Passed on: partition, gres, time, mem, account, ... of sbatch; image, claim, cpus, memory, gpus, "
    "namespace of Kubernetes.",
)
@shared.shared_options("plugins", "data_root")
def submit(
    folder: Path,
    system: str,
    workers: int,
    given: Sequence[str],
    plugins: tuple[Path, ...],
    data_root: Path | None,
) -> None:
    """Print a script that trains in DIR what `gan-bench run --detach` planned, by as many workers.

    \b
    gan-bench submit results/big --print slurm --executor-option gres=gpu:1 > job.sh
    sbatch job.sh
    """
    from gan_bench import api
    from gan_bench.cli.ui.output import echo

    options = _options(given)
    api.stored_plans(folder)
    command = ["gan-bench", "worker", str(folder)]
    for path in plugins:
        command += ["--plugin", str(path)]
    if data_root is not None:
        command += ["--data-root", str(data_root)]
    write = _slurm if system == "slurm" else _kubernetes
    echo(write(folder, command, workers, options).rstrip("\n"))


def _options(given: Sequence[str]) -> dict[str, str]:
    """Return the passed-on options; raise InputError for one that would change the rest of the script."""
    options: dict[str, str] = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not equals or not KEY.fullmatch(key) or not value or not value.isprintable():
            raise InputError(f"--executor-option {text!r}: type KEY=VALUE, such as time=4:00:00")
        if key in options:
            raise InputError(f"--executor-option {key} was given twice: give it once")
        options[key] = value
    return options


def _slurm(folder: Path, command: Sequence[str], workers: int, options: Mapping[str, str]) -> str:
    import shlex

    settings = {
        "job-name": "gan-bench",
        "array": f"0-{workers - 1}",
        "signal": "B:USR1@120",
        "open-mode": "append",
        "output": f"{folder}/slurm-%A_%a.log",
        **options,
    }
    lines = [f"#SBATCH --{key}={shlex.quote(value)}" for key, value in settings.items()]
    return "\n".join(
        [
            "#!/bin/bash",
            *lines,
            "#SBATCH --requeue",
            "# USR1 comes two minutes before the time limit, and at once on pre-emption: the worker writes a",
            "# checkpoint, leaves its run to others, and puts this job back in the queue.",
            f"exec {shlex.join(command)}",
        ]
    )


def _kubernetes(folder: Path, command: Sequence[str], workers: int, options: Mapping[str, str]) -> str:
    import json

    for key in options:
        if key not in KUBERNETES:
            raise unknown("--executor-option", key, KUBERNETES)
    values = {**KUBERNETES, **options}
    for key, value in values.items():
        if not value:
            raise InputError(f"--print k8s needs --executor-option {key}=...: {_meaning(key)}")
        if key in PATTERNS and not re.fullmatch(PATTERNS[key], value):
            raise InputError(f"--executor-option {key}={value}: type {_meaning(key)}")
    resources = {"cpu": values["cpus"], "memory": values["memory"]}
    if values["gpus"] != "0":
        resources["nvidia.com/gpu"] = values["gpus"]
    container = {
        "name": "worker",
        "image": values["image"],
        "command": list(command),
        "resources": {"requests": resources, "limits": resources},
        "volumeMounts": [{"name": "results", "mountPath": str(folder)}],
    }
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "gan-bench", "namespace": values["namespace"]},
        "spec": {
            "completionMode": "Indexed",
            "completions": workers,
            "parallelism": workers,
            "backoffLimitPerIndex": 10,
            "template": {
                "spec": {
                    "restartPolicy": "Never",
                    "terminationGracePeriodSeconds": 60,
                    "containers": [container],
                    "volumes": [{"name": "results", "persistentVolumeClaim": {"claimName": values["claim"]}}],
                }
            },
        },
    }
    return json.dumps(job, indent=2)


def _meaning(key: str) -> str:
    return {
        "image": "the container image that has gan-bench",
        "claim": "the PersistentVolumeClaim of the shared results folder",
        "cpus": "a number of CPUs",
        "gpus": "a number of GPUs",
        "memory": "an amount such as 8Gi",
        "namespace": "a namespace",
    }[key]
