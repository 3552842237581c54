"""benchmarks/check_results.py passes complete results and finds each kind of damage."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.whole_runs import Trial
from PIL import Image

import gan_bench as gb

CHECKER = Path(__file__).parents[1] / "benchmarks" / "check_results.py"


pytestmark = pytest.mark.xdist_group("check results")  # the tests share what one worker made


@pytest.fixture(scope="module")
def complete(tmp_path_factory: pytest.TempPathFactory, score_cache: Path) -> Path:
    results = Trial(tmp_path_factory.mktemp("complete") / "out", score_cache, {"epochs": 1}, {})
    results.run()
    gb.write_report(results.out)
    return results.out


def check(folder: Path, runs: int = 1) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(CHECKER), str(folder), "--runs", str(runs)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def edit_json(run: Path, name: str, key: str, value: object) -> None:
    """Set a key of a JSON object, or of the first one of a list."""
    content = json.loads((run / name).read_text())
    (content[0] if isinstance(content, list) else content)[key] = value
    (run / name).write_text(json.dumps(content))


def drop_draw(run: Path) -> None:
    scores = json.loads((run / "scores.json").read_text())
    del scores[0]["draw"]
    (run / "scores.json").write_text(json.dumps(scores))


def edit_table(run: Path, name: str, old: str, new: str) -> None:
    table = run.parents[1] / "report" / name
    table.write_text(table.read_text().replace(old, new, 1))


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing image": (lambda run: (run / "samples" / "epoch_0001.png").unlink(), "no samples/epoch_0001.png"),
    "truncated image": (
        lambda run: (run / "samples" / "epoch_0001.png").write_bytes(b"\x89PNG"),
        "not a readable",
    ),
    "blank image": (lambda run: Image.new("L", (9, 9)).save(run / "samples" / "epoch_0001.png"), "single color"),
    "missing record": (lambda run: (run / "record.json").unlink(), "no record.json"),
    "old schema": (lambda run: edit_json(run, "record.json", "schema_version", 1), "schema 1 instead of 2"),
    "no best scores": (lambda run: edit_json(run, "record.json", "best_epoch", 1), "of the best checkpoint"),
    "null score": (lambda run: edit_json(run, "scores.json", "value", None), "fid is None"),
    "score without draw": (drop_draw, "fid has no draw"),
    "score without protocol": (lambda run: edit_json(run, "scores.json", "protocol", {}), "extractor_sha256"),
    "missing column": (lambda run: edit_table(run, "runs.csv", "kid_mean", "kid"), "runs.csv: no column kid_mean"),
    "missing penalty": (
        lambda run: edit_table(run, "summary.csv", "penalty", "x"),
        "summary.csv: no column penalty",
    ),
    "missing page": (lambda run: (run.parents[1] / "report" / "index.html").unlink(), "no index.html"),
    "missing plots": (lambda run: shutil.rmtree(run.parents[1] / "report" / "plots"), "no plots"),
}


def test_complete_results_pass(complete: Path) -> None:
    done = check(complete)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_missing_run_is_found(complete: Path) -> None:
    done = check(complete, runs=2)
    assert done.returncode == 1
    assert "1 runs instead of 2" in done.stderr


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_found(complete: Path, tmp_path: Path, kind: str) -> None:
    shutil.copytree(complete, tmp_path / "out")
    (run,) = (tmp_path / "out" / "runs").iterdir()
    damage, message = DAMAGE[kind]
    damage(run)
    done = check(tmp_path / "out")
    assert done.returncode == 1
    assert message in done.stderr
