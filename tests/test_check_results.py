"""The checker that CI runs over results finds what it is for."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from whole_runs import Trial

import gan_bench as gb

CHECKER = Path(__file__).parents[1] / "benchmarks" / "check_results.py"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, score_cache: Path) -> Path:
    results = Trial(tmp_path_factory.mktemp("whole") / "out", score_cache, {"epochs": 1}, {})
    results.run()
    gb.write_report(results.out)
    return results.out


def check(folder: Path, runs: int = 1) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(CHECKER), str(folder), "--runs", str(runs)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def spoil_score(run: Path) -> None:
    scores = json.loads((run / "scores.json").read_text())
    scores[0]["value"] = None
    (run / "scores.json").write_text(json.dumps(scores))


def drop_column(run: Path) -> None:
    table = run.parents[1] / "report" / "runs.csv"
    table.write_text(table.read_text().replace("kid_mean", "kid", 1))


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "no picture": (lambda run: (run / "samples" / "epoch_0001.png").unlink(), "no samples/epoch_0001.png"),
    "torn picture": (lambda run: (run / "samples" / "epoch_0001.png").write_bytes(b"\x89PNG"), "not a picture"),
    "blank picture": (lambda run: Image.new("L", (9, 9)).save(run / "samples" / "epoch_0001.png"), "one colour"),
    "no record": (lambda run: (run / "record.json").unlink(), "no record.json"),
    "no number": (spoil_score, "fid is None"),
    "no column": (drop_column, "no column kid_mean"),
    "no page": (lambda run: (run.parents[1] / "report" / "index.html").unlink(), "no index.html"),
    "no plots": (lambda run: shutil.rmtree(run.parents[1] / "report" / "plots"), "no plots"),
}


def test_whole_results_pass(whole: Path) -> None:
    done = check(whole)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_missing_run_is_found(whole: Path) -> None:
    done = check(whole, runs=2)
    assert done.returncode == 1
    assert "1 runs instead of 2" in done.stderr


@pytest.mark.parametrize("what", DAMAGE)
def test_damage_is_found(whole: Path, tmp_path: Path, what: str) -> None:
    shutil.copytree(whole, tmp_path / "out")
    (run,) = (tmp_path / "out" / "runs").iterdir()
    damage, said = DAMAGE[what]
    damage(run)
    done = check(tmp_path / "out")
    assert done.returncode == 1
    assert said in done.stderr
