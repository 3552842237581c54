"""benchmarks/gpu.py: parts, their outcomes and results."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu.py"


@pytest.fixture
def gpu(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    return importlib.import_module("gpu")


@pytest.fixture
def run(gpu, monkeypatch, tmp_path):
    """Run the script's main function; return its exit code and the parts of gpu.json."""

    def main(*options, out="out"):
        given = ["--data-root", str(tmp_path), "--out", str(tmp_path / out), *options]
        monkeypatch.setattr(sys, "argv", ["gpu.py", *given])
        monkeypatch.setattr(gpu.signal, "signal", lambda *args: None)
        with pytest.raises(SystemExit) as end:
            gpu.main()
        return int(end.value.code), json.loads((tmp_path / out / "gpu.json").read_text())["parts"]

    return main


def write_tests(folder: Path, text: str) -> Path:
    folder.mkdir()
    (folder / "test_some.py").write_text(text)
    return folder


def test_checks_are_pytest_tests_whose_outcomes_are_kept(gpu, run, monkeypatch, tmp_path):
    """A failing test fails the script; plugins and options of pyproject.toml are not used."""
    text = """
import pytest
def test_one(): pass
@pytest.mark.parametrize("name", ["a"])
def test_two(name): assert name == "b"
def test_three(): pytest.skip("no such device")
"""
    monkeypatch.setattr(gpu, "GPU_TESTS", write_tests(tmp_path / "tests", text))
    code, parts = run("--parts", "checks")
    assert code == 1
    assert parts["checks"]["outcome"] == "exit code 1"
    assert [row["check"] for row in parts["checks"]["rows"]] == [
        f"test_some.py::{name}" for name in ("test_one", "test_two[a]", "test_three")
    ]
    passed, failed, skipped = (row["outcome"] for row in parts["checks"]["rows"])
    assert passed == "passed"
    assert failed.startswith("failed AssertionError: assert 'a' == 'b'")
    assert skipped == "skipped (no such device)"


def test_passing_checks_pass_the_script(gpu, run, monkeypatch, tmp_path):
    monkeypatch.setattr(gpu, "GPU_TESTS", write_tests(tmp_path / "tests", "def test_one(): pass\n"))
    code, parts = run("--parts", "checks")
    assert (code, parts["checks"]["outcome"]) == (0, "ok")


@pytest.mark.slow
def test_checks_without_a_gpu_fail_the_script(run):
    """tests/gpu is collected with the packages of gan_bench and pytest alone, and every test is skipped."""
    code, parts = run("--parts", "checks")
    assert (code, parts["checks"]["outcome"]) == (1, "no check was run")
    assert len(parts["checks"]["rows"]) > 40
    assert all(row["outcome"].startswith("skipped (no GPU") for row in parts["checks"]["rows"])


def test_missing_pytest_is_the_outcome_of_the_checks(gpu, run, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    code, parts = run("--parts", "checks")
    assert (code, parts["checks"]["outcome"]) == (1, "pytest is not installed: carry its wheels")


def test_checks_of_an_interrupted_run_are_kept(gpu):
    output = "tests/gpu/test_some.py::test_one PASSED   [ 50%]\ntests/gpu/test_some.py::test_two "
    assert gpu.check_rows(output) == [{"check": "test_some.py::test_one", "outcome": "passed"}]


def test_nothing_is_run_on_a_cpu(gpu, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(
        sys, "argv", ["gpu.py", "--device", "cpu", "--data-root", str(tmp_path), "--out", str(tmp_path / "out")]
    )
    gpu.main()
    assert "nothing to run" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()


def test_folder_with_older_results_is_an_error(tmp_path):
    (tmp_path / "0_lanes.json").write_text('{"rows": []}')
    command = [sys.executable, str(SCRIPT), "--data-root", str(tmp_path), "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "not empty" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["0_lanes.json"]


def test_incomplete_json_of_a_part_is_ignored(gpu, tmp_path):
    incomplete = "import sys; open(sys.argv[1], 'w').write('{\"rows\": [')"
    command = [sys.executable, "-c", incomplete, str(tmp_path / "0_incomplete.json")]
    part = gpu.run_part("incomplete", command, tmp_path, 60.0)
    assert part["outcome"] == "ok"
    assert "rows" not in part


def test_every_part_can_be_selected_by_name(gpu, tmp_path):
    """Names are typed as a comma-separated list."""
    given = argparse.Namespace(device="cuda", data_root=tmp_path, out=tmp_path, parts=None)
    names = list(gpu.parts(given))
    assert len(names) > 5
    given.parts = ",".join(names).split(",")
    assert list(gpu.parts(given)) == names
