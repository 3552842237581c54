"""benchmarks/gpu.py: its checks pass where they can be made without a GPU, and a check that fails fails it."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gan_bench.data.dataset import datasets

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "gpu.py"
DATA = Path(os.environ.get("GAN_BENCH_DATA", "nowhere"))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not datasets.get("mnist").at_hand(DATA), reason="GAN_BENCH_DATA has no MNIST"),
]


def run(out: Path, paths: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), "--device", "cpu", "--data-root", str(DATA), "--out", str(out)]
    environment = {**os.environ, "PYTHONPATH": paths}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)


def test_every_check_that_a_cpu_can_make_passes(tmp_path):
    done = run(tmp_path / "out")
    kept = json.loads((tmp_path / "out" / "gpu.json").read_text())
    outcomes = [row["outcome"] for row in kept["parts"]["checks"]["rows"]]
    assert done.returncode == 0, done.stdout
    assert len(outcomes) > 25
    assert set(outcomes) == {"ok"}
    assert {row[2] for row in kept["figures"]} == {"not measured"}
    assert "ok   equals_the_textbook, vanilla" in kept["parts"]["checks"]["said"]


def test_what_was_measured_before_is_not_measured_again(tmp_path):
    (tmp_path / "0_gpu_checks.json").write_text('{"rows": []}')
    done = run(tmp_path)
    assert done.returncode == 2
    assert "not empty" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["0_gpu_checks.json"]


def test_a_check_that_fails_fails_the_script(tmp_path):
    """An oracle that stands in front of the true one trains nothing."""
    (tmp_path / "sitecustomize.py").write_text(
        "import sys, types\n"
        "module = types.ModuleType('oracle')\n"
        "module.textbook = lambda spec, images, start, steps: (start, [])\n"
        "sys.modules['oracle'] = module\n"
    )
    done = run(tmp_path / "out", str(tmp_path))
    assert done.returncode == 1
    rows = json.loads((tmp_path / "out" / "gpu.json").read_text())["parts"]["checks"]["rows"]
    assert {row["check"].split(",")[0] for row in rows if row["outcome"] != "ok"} == {"equals_the_textbook"}


@pytest.fixture
def gpu(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    return importlib.import_module("gpu")


def test_a_part_that_is_ended_in_the_middle_of_its_json_costs_no_other(gpu, tmp_path):
    torn = "import sys; open(sys.argv[1], 'w').write('{\"rows\": [')"
    part = gpu.make("torn", [sys.executable, "-c", torn, str(tmp_path / "0_torn.json")], tmp_path, 60.0)
    assert part["outcome"] == "ok"
    assert "rows" not in part


def test_every_part_can_be_asked_for_by_its_name(gpu, tmp_path):
    """They are typed as a comma list."""
    given = argparse.Namespace(device="cuda", data_root=tmp_path, out=tmp_path, parts=None)
    names = list(gpu.parts(given))
    assert len(names) > 5
    given.parts = ",".join(names).split(",")
    assert list(gpu.parts(given)) == names
