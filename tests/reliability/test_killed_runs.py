"""kill -9 at random instants, the same command again: bit for bit what an undisturbed run gives."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

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
