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


def programs(cache: Path, file: str, *calls: tuple[object, ...]) -> list[dict[str, int]]:
    """Start a program once for each call, all at the same time; return what each says in the end."""
    started = [
        subprocess.Popen(
            [sys.executable, file, *map(str, call)],
            env={**environment(cache), "PYTHONPATH": os.pathsep.join(sys.path), "CUDA_VISIBLE_DEVICES": ""},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for call in calls
    ]
    told = []
    try:
        for process in started:
            out, err = process.communicate(timeout=230)
            assert process.returncode == 0, err
            told.append(json.loads(out.splitlines()[-1]))
    finally:
        for process in started:
            process.kill()
            process.communicate()
    return told


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> dict[str, tuple[Path, int]]:
    """Where the killed runs of each model are, and how many kills hit them."""
    roots = {model: tmp_path_factory.mktemp(model) for model in ("vanilla", "dcgan28")}
    told = programs(
        cache, killed_runs.__file__, *((model, root, cache, RUNS, KILLS) for model, root in roots.items())
    )
    return {model: (root, each["kills"]) for (model, root), each in zip(roots.items(), told, strict=True)}


@pytest.mark.slow
@pytest.mark.timeout(200)
@pytest.mark.parametrize("model", ["vanilla", "dcgan28"])
def test_a_run_killed_at_random_equals_an_undisturbed_one(killed: dict[str, tuple[Path, int]], model: str) -> None:
    tmp_path, kills = killed[model]
    assert kills >= 20
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
    halves = [(tmp_path / str(half), cache, half, 2) for half in (1, 2)]
    told = programs(cache, killed_at_every_call.__file__, *halves)
    kills, last = sum(each["kills"] for each in told), max(each["last"] for each in told)
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
