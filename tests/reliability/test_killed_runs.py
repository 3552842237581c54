"""kill -9 at random instants, and at every write; the same command again: bit for bit an undisturbed run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import killed_at_every_call
import killed_runs
import pytest
from victims import environment
from whole_runs import assert_equal_runs

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="kills are POSIX signals here")
RUNS, KILLS = 4, 6


@pytest.mark.slow
@pytest.mark.timeout(200)
@pytest.mark.parametrize("model", ["vanilla", "dcgan28"])
def test_a_run_killed_at_random_equals_an_undisturbed_one(tmp_path: Path, cache: Path, model: str) -> None:
    arguments = [model, tmp_path, cache, RUNS, KILLS]
    done = subprocess.run(
        [sys.executable, killed_runs.__file__, *map(str, arguments)],
        env=environment(cache),
        capture_output=True,
        text=True,
        timeout=190,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["kills"] >= 20, told
    (quiet,) = (tmp_path / "quiet" / "runs").iterdir()
    middles = 0
    for number in range(RUNS):
        (folder,) = (tmp_path / str(number) / "runs").iterdir()
        assert_equal_runs(folder, quiet)
        assert (folder / "best.safetensors").read_bytes() == (quiet / "best.safetensors").read_bytes()
        record = json.loads((folder / "record.json").read_text())
        assert (record["status"], record["caveat"]) == ("done", "")
        earlier = json.loads((folder / "environment.json").read_text()).get("earlier_attempts", [])
        middles += sum(each["from_step"] % 16 != 0 for each in earlier)
    assert middles, "no attempt went on from the middle of an epoch: this test would prove nothing of that"


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_run_killed_at_every_call_equals_an_undisturbed_one(tmp_path: Path, cache: Path) -> None:
    halves = [
        subprocess.Popen(
            [sys.executable, killed_at_every_call.__file__, *map(str, (tmp_path / str(half), cache, half, 2))],
            env={**environment(cache), "PYTHONPATH": os.pathsep.join(sys.path)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for half in (1, 2)
    ]
    kills, last = 0, 0
    for process in halves:
        out, err = process.communicate(timeout=230)
        assert process.returncode == 0, err
        told = json.loads(out.splitlines()[-1])
        kills, last = kills + told["kills"], max(last, told["last"])
    calls = json.loads((tmp_path / "1" / "quiet.calls").read_text())
    assert calls["past"] == [], "a write that this test does not see"
    assert {"open", "write", "fsync", "replace", "link", "unlink", "mkdir"} <= set(calls["made"])
    assert last > 200, "what a run writes has become less; is it still all counted?"
    assert kills > last, "no attempt was killed while it went on"
    (quiet,) = (tmp_path / "1" / "quiet" / "runs").iterdir()
    for at in range(1, last + 1):
        (folder,) = (tmp_path / str(2 - at % 2) / str(at) / "runs").iterdir()
        assert_equal_runs(folder, quiet)
        assert (folder / "best.safetensors").read_bytes() == (quiet / "best.safetensors").read_bytes()
        record = json.loads((folder / "record.json").read_text())
        assert (record["status"], record["caveat"]) == ("done", "")
