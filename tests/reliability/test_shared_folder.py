"""Several processes, one folder: the work is shared, each run is committed once, stale owners are fenced off."""

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
from forks import TINY, Ask, running
from victims import wait_until

pytestmark = pytest.mark.skipif(os.name != "posix", reason="POSIX signals")

SHARER = """
import json, sys, time
from pathlib import Path
from gan_bench.record import RunRecord
from gan_bench.spec import RunSpec
from gan_bench.store.store import Store

root, lines = Path(sys.argv[1]), sys.stdin.read().splitlines()
store = Store.open(root, create=True)
specs = [RunSpec.model_validate_json(line) for line in lines]
store.expect(specs)
for spec in specs:
    if not store.claim(spec):
        continue
    assert store.begin(spec, {}) == 1, "it was trained twice"
    time.sleep(0.01)
    store.finish(spec, RunRecord(run_id=spec.run_id, status="done"))
    print(spec.run_id, flush=True)
"""


@pytest.mark.parametrize("processes", [2, 4])
def test_processes_on_one_folder_commit_each_run_once(tmp_path: Path, processes: int, specs: list[str]) -> None:
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", SHARER, str(tmp_path)],
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
    for worker in workers:  # all have begun: now at once
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
def test_two_commands_share_a_matrix_and_both_end_with_all_of_it(tmp_path: Path, cache: Path) -> None:
    out = tmp_path / "out"
    asked = (
        "run",
        "--out",
        str(out),
        "--models",
        "vanilla",
        "--seeds",
        "0-11",
        "--metrics",
        "is",
        "--json",
        *TINY,
    )
    shares = []
    with (
        running(Ask(asked, cache, tmp_path / "one")) as one,
        running(Ask(asked, cache, tmp_path / "other")) as other,
    ):
        for process in (one, other):
            assert process.wait(200) == 0, process.said
            assert len(list(out.glob("runs/*/record.json"))) == 12, "it did not wait for the other's runs"
            events = [json.loads(line) for line in process.said.splitlines() if line.startswith("{")]
            shares.append([e["run_id"] for e in events if e.get("event") == "finished"])
    finished = Counter(run_id for share in shares for run_id in share)
    assert len(finished) == 12
    assert set(finished.values()) == {1}
    assert all(shares), "one of them did all the work"
    records = [json.loads(path.read_text()) for path in out.glob("runs/*/record.json")]
    assert [(record["status"], record["attempts"]) for record in records] == [("done", 1)] * 12


OWNER = """
import sys, time
from pathlib import Path
from gan_bench.errors import RunTakenError
from gan_bench.record import Checkpoint, RunRecord
from gan_bench.spec import RunSpec
from gan_bench.store import lease
from gan_bench.store.store import Store
import numpy as np

lease.HEARTBEAT_SECONDS, lease.STALE_SECONDS = 0.1, 1.5
store, name = Store.open(Path(sys.argv[1]), create=True), sys.argv[3]
spec = RunSpec.model_validate_json(sys.argv[2])
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


def _ask(owner: subprocess.Popen[str], what: str) -> str:
    assert owner.stdin is not None
    assert owner.stdout is not None
    owner.stdin.write(f"{what}\n")
    owner.stdin.flush()
    return owner.stdout.readline().strip()


def test_a_stopped_owner_is_taken_over_and_fenced_off_when_it_wakes_up(tmp_path: Path, specs: list[str]) -> None:
    first = _owner(tmp_path, specs[0], "first")
    assert first.stdout is not None
    assert first.stdout.readline() == "owner\n"
    assert _ask(first, "checkpoint") == "wrote"
    second = _owner(tmp_path, specs[0], "second")
    try:
        assert second.stdout is not None
        os.kill(first.pid, signal.SIGSTOP)
        assert second.stdout.readline() == "owner\n"  # within STALE_SECONDS of watching
        os.kill(first.pid, signal.SIGCONT)
        (folder,) = (tmp_path / "runs").iterdir()
        before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        assert _ask(first, "checkpoint").startswith("fenced")
        assert _ask(first, "finish").startswith("fenced")
        after = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        assert before == after
        assert _ask(second, "checkpoint") == "wrote"
        assert _ask(second, "finish") == "wrote"
        assert _ask(first, "finish").startswith("fenced"), "a finished run was written over"
        assert json.loads((folder / "record.json").read_text())["reason"] == "second"
    finally:
        for owner in (first, second):
            os.kill(owner.pid, signal.SIGCONT)
            owner.kill()
            owner.communicate()


def test_an_owner_that_beats_is_not_taken_over(tmp_path: Path, specs: list[str]) -> None:
    first, second = (_owner(tmp_path, specs[0], name) for name in ("first", "second"))
    try:
        assert first.stdout is not None
        with pytest.raises(subprocess.TimeoutExpired):
            second.wait(timeout=5)  # three times STALE_SECONDS: time enough to be wrong
        assert sum(bool(select.select([owner.stdout], [], [], 0)[0]) for owner in (first, second)) == 1
    finally:
        for owner in (first, second):
            owner.kill()
            owner.communicate()


@pytest.mark.slow
def test_a_command_takes_over_from_a_killed_one(tmp_path: Path, cache: Path) -> None:
    out = tmp_path / "out"
    asked = ("run", "--out", str(out), "--models", "vanilla", "--epochs", "2000", "--metrics", "is", *TINY)
    asked = (*asked, "--checkpoint-every", "0.1")
    with running(Ask(asked, cache, tmp_path / "first")) as first:
        wait_until(lambda: list(out.glob("runs/*/checkpoint.json")))
        with running(Ask(asked, cache, tmp_path / "second")) as second:
            wait_until(lambda: "trained by another process: waiting for it" in second.said)
            first.signal(signal.SIGKILL)
            spot = next(iter(out.glob("runs/*/environment.json")))
            wait_until(lambda: json.loads(spot.read_text())["attempt"] == 2, 15)  # far less than STALE_SECONDS
            assert json.loads(spot.read_text())["from_step"] > 0
