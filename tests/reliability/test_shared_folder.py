"""Several processes on one folder: they share the work, train each run once, and can't write without a lease."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from helpers.forks import TINY, Launch, running
from helpers.victims import wait_until

pytestmark = pytest.mark.skipif(os.name != "posix", reason="POSIX signals")

SHARING_PROCESS = """
import json, sys, time
from pathlib import Path
from gan_bench.core.records import RunRecord
from gan_bench.core.training_spec import TrainingSpec
from gan_bench.store.store import Store

root, lines = Path(sys.argv[1]), sys.stdin.read().splitlines()
store = Store.open(root, create=True)
specs = [TrainingSpec.model_validate_json(line) for line in lines]
store.expect(specs)
for spec in specs:
    if not store.claim(spec):
        continue
    if not store.is_trained(spec):
        assert store.begin(spec, {}) == 1, "it was trained twice"
        time.sleep(0.01)
        store.finish(spec, RunRecord(run_id=spec.run_id, status="done"))
        print(spec.run_id, flush=True)
    store.release(spec)
"""


@pytest.mark.parametrize("processes", [pytest.param(2, marks=pytest.mark.slow), 4])
def test_processes_on_one_folder_train_each_run_once(tmp_path: Path, processes: int, specs: list[str]) -> None:
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", SHARING_PROCESS, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(processes)
    ]
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("\n".join(specs))
    for worker in workers:  # all are started: now they begin at once
        assert worker.stdin is not None
        worker.stdin.close()
        worker.stdin = None
    commits: Counter[str] = Counter()
    shares = []
    for worker in workers:
        out, err = worker.communicate(timeout=100)
        assert worker.returncode == 0, err
        shares.append(len(out.split()))
        commits.update(out.split())
    assert len(commits) == len(specs) == 40
    assert set(commits.values()) == {1}
    assert len(list(tmp_path.glob("runs/*/record.json"))) == 40
    assert not list(tmp_path.glob("runs/*/.lease*"))


@pytest.mark.slow
def test_two_commands_share_a_matrix_and_both_end_with_all_results(tmp_path: Path, cache: Path) -> None:
    out = tmp_path / "out"
    given = ("run", "--out", str(out), "--models", "vanilla", "--seeds", "0-11", "--metrics", "is", "--json")
    arguments = (*given, *TINY)
    shares = []
    with (
        running(Launch(arguments, cache, tmp_path / "one")) as one,
        running(Launch(arguments, cache, tmp_path / "other")) as other,
    ):
        for process in (one, other):
            assert process.wait(200) == 0, process.output
            assert len(list(out.glob("runs/*/record.json"))) == 12, (
                "it did not wait for the runs of the other command"
            )
            events = [json.loads(line) for line in process.output.splitlines() if line.startswith("{")]
            shares.append({each["run_id"] for each in events if each.get("event") == "epoch"})
    trained = Counter(run_id for share in shares for run_id in share)
    assert len(trained) == 12
    assert set(trained.values()) == {1}, "a run was trained by both"
    assert all(shares), "one of them trained every run"
    records = [json.loads(path.read_text()) for path in out.glob("runs/*/record.json")]
    assert [(record["status"], record["attempts"]) for record in records] == [("done", 1)] * 12


OWNER = """
import sys, time
from pathlib import Path
from gan_bench.core.errors import RunTakenError
from gan_bench.core.records import Checkpoint, RunRecord
from gan_bench.core.training_spec import TrainingSpec
from gan_bench.store import leases
from gan_bench.store.store import Store
import numpy as np

leases.HEARTBEAT_SECONDS, leases.STALE_SECONDS = 0.1, 1.5
store, name = Store.open(Path(sys.argv[1]), create=True), sys.argv[3]
spec = TrainingSpec.model_validate_json(sys.argv[2])
while not store.claim(spec):
    time.sleep(0.05)
store.begin(spec, {"owner": name})
print("owner", flush=True)
for line in sys.stdin:
    try:
        if line.strip() == "checkpoint":
            store.checkpoint(spec, Checkpoint({"w": np.full(3, len(name))}, {"step": len(name), "epoch": 1}))
        else:
            store.finish(spec, RunRecord(run_id=spec.run_id, status="done", reason=name))
        print("wrote", flush=True)
    except RunTakenError as error:
        print("fenced", error, flush=True)
"""


def _owner(root: Path, spec: str, name: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", OWNER, str(root), spec, name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _order(owner: subprocess.Popen[str], what: str) -> str:
    assert owner.stdin is not None
    assert owner.stdout is not None
    owner.stdin.write(f"{what}\n")
    owner.stdin.flush()
    return owner.stdout.readline().strip()


def test_a_suspended_process_is_taken_over_and_cannot_write_when_it_resumes(
    tmp_path: Path, specs: list[str]
) -> None:
    first = _owner(tmp_path, specs[0], "first")
    assert first.stdout is not None
    assert first.stdout.readline() == "owner\n"
    assert _order(first, "checkpoint") == "wrote"
    second = _owner(tmp_path, specs[0], "second")
    try:
        assert second.stdout is not None
        os.kill(first.pid, signal.SIGSTOP)
        assert second.stdout.readline() == "owner\n"  # after STALE_SECONDS without a heartbeat
        os.kill(first.pid, signal.SIGCONT)
        (folder,) = (tmp_path / "runs").iterdir()
        before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        assert _order(first, "checkpoint").startswith("fenced")
        assert _order(first, "finish").startswith("fenced")
        after = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        assert before == after
        assert _order(second, "checkpoint") == "wrote"
        assert _order(second, "finish") == "wrote"
        assert _order(first, "finish").startswith("fenced"), "a finished run was overwritten"
        assert json.loads((folder / "record.json").read_text())["reason"] == "second"
    finally:
        for owner in (first, second):
            os.kill(owner.pid, signal.SIGCONT)
            owner.kill()
            owner.communicate()


def test_a_process_with_a_heartbeat_is_not_taken_over(tmp_path: Path, specs: list[str]) -> None:
    first, second = (_owner(tmp_path, specs[0], name) for name in ("first", "second"))
    try:
        assert first.stdout is not None
        with pytest.raises(subprocess.TimeoutExpired):
            second.wait(timeout=5)  # three times STALE_SECONDS
        assert sum(bool(select.select([owner.stdout], [], [], 0)[0]) for owner in (first, second)) == 1
    finally:
        for owner in (first, second):
            owner.kill()
            owner.communicate()


@pytest.mark.slow
def test_a_command_takes_over_from_a_killed_one(tmp_path: Path, cache: Path) -> None:
    out = tmp_path / "out"
    given = ("run", "--out", str(out), "--models", "vanilla", "--epochs", "2000", "--metrics", "is", *TINY)
    arguments = (*given, "--checkpoint-every", "0.1")
    with running(Launch(arguments, cache, tmp_path / "first")) as first:
        wait_until(lambda: list(out.glob("runs/*/checkpoint.json")))
        with running(Launch(arguments, cache, tmp_path / "second")) as second:
            wait_until(lambda: "waiting for 1 run that another process is training" in second.output)
            first.send(signal.SIGKILL)
            environment = next(iter(out.glob("runs/*/environment.json")))
            # a killed process of this machine is noticed at once, without waiting for STALE_SECONDS
            wait_until(lambda: json.loads(environment.read_text())["attempt"] == 2, 15)
            assert json.loads(environment.read_text())["from_step"] > 0
