"""Workers as jobs of a real Slurm: every run is committed once, whatever happens to nodes, jobs and controller."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.slurm import Cluster, cluster, lacking, wait_for
from helpers.whole_runs import assert_equal_runs

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(lacking()), reason=lacking()),
    pytest.mark.xdist_group("slurm"),
]
SHORT = ("--models", "vanilla", "--batch-size", "64", "--set", "width=0.0625", "--metrics", "fid")
MATRIX = (*SHORT, "--dataset", "synthetic", "--eval-samples", "160", "--preset", "smoke", "--offline")


@pytest.fixture(scope="module")
def slurm() -> Iterator[Cluster]:
    with cluster() as made:
        yield made


def gan_bench(slurm: Cluster, *words: object, check: bool = True) -> str:
    command = [sys.executable, "-m", "gan_bench", *map(str, words)]
    return subprocess.run(command, env=slurm.environment, check=check, capture_output=True, text=True).stdout


def submitted(slurm: Cluster, out: Path, workers: int, *options: str) -> str:
    words = [word for option in options for word in ("--executor-option", option)]
    return slurm.submit(gan_bench(slurm, "submit", out, "--print", "slurm", "--workers", workers, *words))


def records(out: Path) -> list[dict]:
    return [json.loads(path.read_text()) for path in sorted((out / "runs").glob("*/record.json"))]


def committed(out: Path) -> int:
    return len(list((out / "runs").glob("*/record.json")))


def test_24_runs_survive_the_loss_of_a_node_and_equal_local_ones(slurm: Cluster, tmp_path: Path) -> None:
    """A third of the workers is killed in the middle; so is the controller, and it is started again."""
    out, local = tmp_path / "slurm", tmp_path / "local"
    length = ("--steps", "60", "--seeds", "0-23")
    gan_bench(slurm, "run", *MATRIX, *length, "--out", out, "--detach")
    job = submitted(slurm, out, 3, "cpus-per-task=2")
    wait_for(lambda: committed(out) >= 3, "first runs", 120)
    slurm.lose_node("n2")
    slurm.restart_controller()
    wait_for(lambda: committed(out) == 24, "24 runs", 240)
    wait_for(lambda: slurm.is_over(job), "the end of all workers", 120)  # evaluation follows the record
    found = records(out)
    assert [record["status"] for record in found] == ["done"] * 24
    assert len({record["run_id"] for record in found}) == 24
    gan_bench(slurm, "run", *MATRIX, *length, "--out", local)
    for one, other in zip(sorted((out / "runs").iterdir()), sorted((local / "runs").iterdir()), strict=True):
        assert_equal_runs(one, other)


def test_a_job_that_runs_again_after_its_runs_were_finished_changes_nothing(
    slurm: Cluster, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    gan_bench(slurm, "run", *MATRIX, "--steps", "6", "--out", out, "--detach")
    first = submitted(slurm, out, 1)
    wait_for(lambda: slurm.is_over(first), "the first job", 120)
    assert committed(out) == 1
    before = {path: path.read_bytes() for path in (out / "runs").rglob("*") if path.is_file()}
    second = submitted(slurm, out, 2)
    wait_for(lambda: slurm.is_over(second), "the second job", 120)
    assert {path: path.read_bytes() for path in (out / "runs").rglob("*") if path.is_file()} == before


def test_a_requeued_job_continues_from_its_checkpoint_bit_for_bit(slurm: Cluster, tmp_path: Path) -> None:
    """USR1 comes to the worker itself, as before the time limit: it asks Slurm to start the job again."""
    out, local = tmp_path / "slurm", tmp_path / "local"
    length = ("--steps", "3000")
    gan_bench(slurm, "run", *MATRIX, *length, "--out", out, "--detach")
    job = submitted(slurm, out, 1)
    wait_for(lambda: any((out / "runs").glob("*/samples/epoch_0003.png")), "an epoch", 120)
    slurm.ask("scancel", "--signal=USR1", "--batch", job)
    wait_for(lambda: slurm.is_over(job), "the end of the job", 240)
    assert committed(out) == 1
    environment = json.loads(next((out / "runs").glob("*/environment.json")).read_text())
    assert environment["from_step"] > 0
    gan_bench(slurm, "run", *MATRIX, *length, "--out", local)
    assert_equal_runs(next((out / "runs").iterdir()), next((local / "runs").iterdir()))


def test_scancel_leaves_a_run_that_another_job_finishes(slurm: Cluster, tmp_path: Path) -> None:
    out = tmp_path / "out"
    gan_bench(slurm, "run", *MATRIX, "--steps", "2000", "--out", out, "--detach")
    job = submitted(slurm, out, 1)
    wait_for(lambda: any((out / "runs").glob("*/samples/epoch_0002.png")), "an epoch", 120)
    slurm.ask("scancel", job)
    wait_for(lambda: slurm.is_over(job), "the end of the job", 60)
    assert committed(out) == 0
    second = submitted(slurm, out, 1)
    wait_for(lambda: slurm.is_over(second), "the end of the second job", 240)
    assert records(out)[0]["attempts"] == 2
