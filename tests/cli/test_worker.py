"""Workers on one results folder, plans that they read, and the scripts that start them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.cli_words import Invoke, json_lines
from helpers.whole_runs import assert_equal_runs

from gan_bench.models.base import models

MATRIX = (
    *(
        "run",
        "--models",
        "vanilla",
        "--seeds",
        "0-1",
        "--steps",
        "6",
        "--dataset",
        "synthetic",
        "--metrics",
        "fid",
    ),
    *("--preset", "smoke", "--batch-size", "64", "--set", "width=0.0625", "--eval-samples", "160", "--offline"),
)


def planned(invoke: Invoke, out: Path, *words: str) -> Path:
    result = invoke(*MATRIX, *words, "--out", out, "--detach")
    assert result.exit_code == 0, result.output
    return out


def states(invoke: Invoke, out: Path) -> list[str]:
    return [row["status"] for row in json_lines(invoke("status", out, "--json").stdout)]


def test_a_worker_trains_what_was_planned_as_run_does(invoke: Invoke, tmp_path: Path) -> None:
    out = planned(invoke, tmp_path / "planned")
    assert states(invoke, out) == ["pending", "pending"]
    result = invoke("worker", out, "--offline")
    assert result.exit_code == 0, result.output
    assert f"gan-bench report {out}" in result.stdout.replace("\n", " ")
    assert states(invoke, out) == ["done", "done"]
    assert invoke(*MATRIX, "--out", tmp_path / "direct").exit_code == 0
    pairs = zip(sorted((out / "runs").iterdir()), sorted((tmp_path / "direct" / "runs").iterdir()), strict=True)
    for one, other in pairs:
        assert_equal_runs(one, other)


def test_a_worker_does_nothing_twice(invoke: Invoke, tmp_path: Path) -> None:
    out = planned(invoke, tmp_path / "out")
    first = invoke("worker", out, "--offline")
    assert first.exit_code == 0, first.output
    before = {path: path.stat().st_mtime_ns for path in (out / "runs").rglob("*.json")}
    again = invoke("worker", out, "--offline")
    assert again.exit_code == 0, again.output
    assert {path: path.stat().st_mtime_ns for path in (out / "runs").rglob("*.json")} == before


def test_equal_commands_have_one_plan_and_others_their_own(invoke: Invoke, tmp_path: Path) -> None:
    out = planned(invoke, tmp_path / "out")
    planned(invoke, out)
    assert len(list((out / "plans").iterdir())) == 1
    planned(invoke, out, "--eval-draws", "2")
    assert len(list((out / "plans").iterdir())) == 2
    assert invoke("worker", out, "--offline").exit_code == 0
    scores = json.loads(next((out / "runs").glob("*/scores.json")).read_text())
    assert sorted(score["draw"] for score in scores) == [0, 1]


def test_scores_that_are_missing_are_planned_too(invoke: Invoke, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert invoke(*MATRIX, "--out", out).exit_code == 0
    planned(invoke, out, "--metrics", "kid")
    assert invoke("worker", out, "--offline").exit_code == 0
    for scores in (out / "runs").glob("*/scores.json"):
        assert {score["metric"] for score in json.loads(scores.read_text())} == {"fid", "kid_mean", "kid_std"}


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (None, "it has no plan"),
        ("{", "plans/broken.json"),
        ('{"run_ids": ["../../etc"], "evaluation": {}, "options": {}}', "run_ids"),
        ('{"run_ids": [], "evaluation": {"samples": 1}, "options": {}}', "samples"),
        ('{"run_ids": [], "evaluation": {}, "options": {"retries": {}}}', "options.retries"),
    ],
)
def test_a_folder_that_no_worker_can_work_on_is_refused(
    invoke: Invoke, tmp_path: Path, spoil: str | None, says: str
) -> None:
    out = planned(invoke, tmp_path / "out")
    next((out / "plans").iterdir()).unlink()
    if spoil:
        (out / "plans" / "broken.json").write_text(spoil)
    result = invoke("worker", out, "--offline")
    assert result.exit_code == 2, result.output
    assert says in result.stderr.replace("\n", " ")
    assert states(invoke, out) == ["pending", "pending"]


def test_a_missing_plugin_is_named(invoke: Invoke, tmp_path: Path) -> None:
    plugin = tmp_path / "mine.py"
    plugin.write_text(
        "from gan_bench.models.vanilla import Vanilla\nfrom gan_bench.plugins import models\n\n\n"
        '@models.register("worker-plugged")\nclass Mine(Vanilla):\n    """Vanilla."""\n'
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "_objects", dict(models._objects))  # as in a new process
        planned(invoke, tmp_path / "out", "--models", "worker-plugged", "--plugin", str(plugin))
    result = invoke("worker", tmp_path / "out", "--offline")
    assert result.exit_code == 2
    assert "give --plugin mine.py" in result.stderr.replace("\n", " ")


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="no such signal here")
def test_usr1_stops_at_a_checkpoint_and_another_worker_goes_on(invoke: Invoke, tmp_path: Path) -> None:
    """Within Slurm the job is put back in the queue: `scontrol` is a stand-in that writes down its words."""
    out = planned(invoke, tmp_path / "out", "--steps", "4000")
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "scontrol").write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/asked\n')
    (tools / "scontrol").chmod(0o755)
    path = f"{tools}{os.pathsep}{os.environ['PATH']}"
    settings = {**os.environ, "PATH": path, "SLURM_JOB_ID": "41", "SLURM_ARRAY_JOB_ID": "41"}
    settings |= {"SLURM_ARRAY_TASK_ID": "2", "OMP_NUM_THREADS": "1"}
    assert stopped_within_training(out, signal.SIGUSR1, settings) == 143
    assert (tmp_path / "asked").read_text().split() == ["requeue", "41_2"]
    assert states(invoke, out) == ["pending", "pending"]
    assert from_step(out) == 0
    assert stopped_within_training(out, signal.SIGTERM, {**os.environ}) == 143
    assert from_step(out) > 0


def stopped_within_training(out: Path, number: int, environment: dict[str, str]) -> int:
    """Start a worker, send it a signal once an epoch is trained, and return its exit code."""
    command = [sys.executable, "-m", "gan_bench", "worker", str(out), "--offline"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as worker:
        assert worker.stderr is not None
        for line in worker.stderr:
            if "epoch" in line:
                worker.send_signal(number)
                break
        worker.stderr.read()
        return worker.wait(60)


def from_step(out: Path) -> int:
    """The step that the last attempt started from."""
    environment = json.loads(next((out / "runs").glob("*-s0-*/environment.json")).read_text())
    return int(environment["from_step"])


def test_a_slurm_script_passes_options_on(invoke: Invoke, tmp_path: Path) -> None:
    out = planned(invoke, tmp_path / "re sults")
    words = ("--workers", "3", "--executor-option", "gres=gpu:1", "--executor-option", "time=4:00:00")
    script = invoke("submit", out, "--print", "slurm", *words).stdout
    lines = script.splitlines()
    assert lines[0] == "#!/bin/bash"
    for line in ("--array=0-2", "--gres=gpu:1", "--time=4:00:00", "--requeue", "--open-mode=append"):
        assert f"#SBATCH {line}" in lines
    assert "#SBATCH --signal=B:USR1@120" in lines
    assert lines[-1] == f"exec gan-bench worker '{out}'"
    assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0


def test_a_kubernetes_job_is_indexed_and_mounts_the_folder(invoke: Invoke, tmp_path: Path) -> None:
    out = planned(invoke, tmp_path / "out")
    words = ("--executor-option", "image=gan:1", "--executor-option", "claim=disk", "--executor-option", "gpus=2")
    job = json.loads(invoke("submit", out, "--print", "k8s", "--workers", "5", *words).stdout)
    assert (job["kind"], job["spec"]["completionMode"], job["spec"]["completions"]) == ("Job", "Indexed", 5)
    container = job["spec"]["template"]["spec"]["containers"][0]
    assert container["command"] == ["gan-bench", "worker", str(out)]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "2"
    assert container["volumeMounts"][0]["mountPath"] == str(out)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--print", "pbs"), "'slurm', 'k8s'"),
        ((), "--print"),
        (("--print", "slurm", "--executor-option", "time"), "type KEY=VALUE"),
        (("--print", "slurm", "--executor-option", "time=1\nrm -rf"), "type KEY=VALUE"),
        (("--print", "slurm", "--executor-option", "a=1", "--executor-option", "a=2"), "given twice"),
        (("--print", "k8s"), "--executor-option image="),
        (("--print", "k8s", "--executor-option", "imag=x"), "did you mean image"),
    ],
)
def test_submit_refuses_what_makes_no_script(
    invoke: Invoke, tmp_path: Path, words: tuple[str, ...], says: str
) -> None:
    out = planned(invoke, tmp_path / "out")
    result = invoke("submit", out, *words)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert says in result.stderr.replace("\n", " ")
