"""Whole runs on a GPU: the device that is found, memory that is short, and scores."""

from __future__ import annotations

import pytest
import torch
from click.testing import CliRunner

import gan_bench as gb
from gan_bench.cli.main import main
from gan_bench.core.evaluation_spec import EvaluationSpec
from gan_bench.core.events import Notice, ignore_events
from gan_bench.data.base import datasets
from gan_bench.metrics.evaluator import Evaluator
from gan_bench.runner import context
from gan_bench.store.store import Store

MATRIX = {
    "dataset": "synthetic",
    "steps": 6,
    "extractors": ("mnist-cnn",),
    "metrics": ("fid",),
    "eval_samples": 160,
}


def options(out, **changes) -> gb.Options:
    base = {"preset": "smoke", "offline": True, "out": out, "cache_dir": out.parent / "cache", "device": "auto"}
    return gb.Options(**{**base, **changes})


def test_matrix_runs_on_the_gpu_that_is_found(device, tmp_path):
    """`--device auto`: two models as two lanes each, captured and evaluated."""
    out = tmp_path / "out"
    matrix = gb.Matrix(models=("vanilla", "dcgan"), seeds=(0, 1), precision="bf16", **MATRIX)
    records = gb.run(matrix, options(out, lanes=2))
    assert [(record.status, record.failure, record.lanes) for record in records] == [("done", "", 2)] * 4
    assert all(record.peak_memory_bytes and record.peak_memory_bytes > 2**20 for record in records)
    stored = Store.open(out, create=False).runs()
    assert all(run.scores for run in stored)
    assert {run.environment["device_name"] for run in stored} == {torch.cuda.get_device_name(device)}


def test_lanes_that_exceed_the_memory_are_trained_in_halves(emulator, tmp_path):
    """Four lanes at full width need about 200 MiB, two half of that."""
    matrix = gb.Matrix(models=("vanilla",), seeds=(0, 1, 2, 3), settings={"width": 1}, **{**MATRIX, "steps": 2})
    events = []
    emulator.set_free_memory(185 * 2**20)
    records = gb.run(matrix, options(tmp_path / "out", lanes=4), events.append)
    assert {(r.status, r.failure, r.lanes, r.attempts) for r in records} == {("done", "", 2, 2)}
    assert "retrying 4 failed runs" in [event.text for event in events if isinstance(event, Notice)]


def test_run_on_a_full_gpu_fails_with_one_line(emulator, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(context, "_evaluators", {})  # those of earlier tests keep their memory
    words = ("--models", "vanilla", "--metrics", "fid", "--eval-samples", "2000", "--extractors", "mnist-cnn")
    common = ("run", "--dataset", "synthetic", "--preset", "smoke", "--offline", "--out", str(tmp_path / "out"))
    emulator.set_free_memory(0)
    result = CliRunner().invoke(main, [*common, *words], prog_name="gan-bench")
    assert result.exit_code == 1
    last_line = result.stderr.strip().splitlines()[-1]
    assert last_line.startswith("failed: vanilla-")
    assert "CUDA out of memory" in last_line
    assert "defect" not in result.stderr
    assert "Traceback" not in result.stderr


def test_scores_equal_those_computed_on_a_cpu(device, tmp_path):
    data = datasets.get("synthetic").load(tmp_path, offline=True, on_event=ignore_events)
    fakes = data.train[:1000].roll(2, -1)  # not quite real, so that no score is near 0
    spec = EvaluationSpec(metrics=("fid", "kid", "prc"), extractors=("mnist-cnn",), samples=1000)
    values = []
    for place in (torch.device("cpu"), device):
        evaluator = Evaluator(
            data, spec, device=place, cache_dir=tmp_path / place.type, offline=True, on_event=ignore_events
        )
        scores = evaluator.score(fakes.to(place), epoch=1, step=1)
        values.append({score.metric: score.value for score in scores})
    cpu, gpu = values
    assert cpu.keys() == gpu.keys()
    for name, value in cpu.items():
        assert gpu[name] == pytest.approx(value, abs=2e-3 * max(1.0, abs(value))), name
