"""kill -9 at random times and at every write; the same command then yields a bit-identical run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import killed_at_every_call, killed_runs
from helpers.victims import environment
from helpers.whole_runs import assert_equal_runs

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="kills are POSIX signals here"),
    pytest.mark.xdist_group("killed runs"),  # each of these occupies several cores
]
RUNS, KILLS = 4, 6
CASES = {
    "vanilla": ("vanilla", "bce", 16),
    "dcgan28": ("dcgan28", "bce", 16),
    "wgan-gp": ("vanilla", "wgan-gp", 3),
}
"""Model, loss and steps per epoch; with wgan-gp a step takes five batches, and the penalty has a random stream."""


def programs(cache: Path, file: str, *calls: tuple[object, ...]) -> list[dict[str, int]]:
    """Start a program once per call, all at the same time; return the last line of each, parsed."""
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
    outputs = []
    try:
        for process in started:
            out, err = process.communicate(timeout=550)
            assert process.returncode == 0, err
            outputs.append(json.loads(out.splitlines()[-1]))
    finally:
        for process in started:
            process.kill()
            process.communicate()
    return outputs


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> dict[str, tuple[Path, int]]:
    """The folder of each case's killed runs, and the number of kills that hit them."""
    roots = {case: tmp_path_factory.mktemp(case) for case in CASES}
    calls = ((model, loss, roots[case], cache, RUNS, KILLS) for case, (model, loss, _) in CASES.items())
    outputs = programs(cache, killed_runs.__file__, *calls)
    return {case: (root, each["kills"]) for (case, root), each in zip(roots.items(), outputs, strict=True)}


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("case", CASES)
def test_a_run_killed_at_random_times_equals_an_undisturbed_one(
    killed: dict[str, tuple[Path, int]], case: str
) -> None:
    (tmp_path, kills), (_, _, steps_per_epoch) = killed[case], CASES[case]
    assert kills >= 3 * RUNS
    (undisturbed,) = (tmp_path / "undisturbed" / "runs").iterdir()
    middles = 0
    for number in range(RUNS):
        (folder,) = (tmp_path / str(number) / "runs").iterdir()
        assert_equal_runs(folder, undisturbed)
        assert (folder / "best.safetensors").read_bytes() == (undisturbed / "best.safetensors").read_bytes()
        record = json.loads((folder / "record.json").read_text())
        assert (record["status"], record["caveat"]) == ("done", "")
        earlier = json.loads((folder / "environment.json").read_text()).get("earlier_attempts", [])
        middles += sum(each["from_step"] % steps_per_epoch != 0 for each in earlier)
    assert middles, "no attempt resumed in the middle of an epoch"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_run_killed_at_every_call_equals_an_undisturbed_one(tmp_path: Path, cache: Path) -> None:
    halves = [(tmp_path / str(half), cache, half, 2) for half in (1, 2)]
    outputs = programs(cache, killed_at_every_call.__file__, *halves)
    kills, last = sum(each["kills"] for each in outputs), max(each["last"] for each in outputs)
    calls = json.loads((tmp_path / "1" / "undisturbed.calls").read_text())
    assert calls["past"] == [], "a write that is not counted"
    assert {"open", "write", "fsync", "replace", "link", "unlink", "mkdir"} <= set(calls["made"])
    assert last > 200, "a run makes fewer calls than before: are all of them counted?"
    assert kills > last, "no attempt was killed after it had resumed"
    (undisturbed,) = (tmp_path / "1" / "undisturbed" / "runs").iterdir()
    verdict = json.loads((undisturbed / "record.json").read_text())["verdict"]
    for at in range(1, last + 1):
        (folder,) = (tmp_path / str(2 - at % 2) / str(at) / "runs").iterdir()
        assert_equal_runs(folder, undisturbed)
        assert (folder / "best.safetensors").read_bytes() == (undisturbed / "best.safetensors").read_bytes()
        record = json.loads((folder / "record.json").read_text())
        assert (record["status"], record["caveat"], record["verdict"]) == ("done", "", verdict)
