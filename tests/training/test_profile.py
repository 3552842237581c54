"""Profiled steps are undone; operators have their time and calls per step."""

from __future__ import annotations

import gzip
import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers.training_cases import CPU, random_batch, small_spec

from gan_bench.core.errors import InputError
from gan_bench.training import profile as module
from gan_bench.training.profile import check_profiler, profile_steps
from gan_bench.training.trainer import Trainer


@pytest.fixture(autouse=True)
def _few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SECONDS", 0.0)


def made(steps_before: int = 0, model: str = "vanilla", lanes: int = 1) -> Trainer:
    """Steps are 20, eight an epoch."""
    specs = [small_spec(model, seed=seed) for seed in range(lanes)]
    trainer = Trainer(specs, random_batch(specs[0].image_size), CPU)
    while trainer.step < steps_before:
        trainer.train_steps(pause=lambda: trainer.step == steps_before)
        if trainer.epoch_is_trained:
            trainer.close_epoch()
    return trainer


@pytest.mark.parametrize("lanes", [1, 2])
@pytest.mark.parametrize("steps_before", [0, 3, 7, 8, 19])
def test_profiled_steps_are_undone(steps_before, lanes):
    """At the start, within an epoch, before its last step, between epochs, and before the last step."""
    trainer = made(steps_before, "dcgan28", lanes)
    before = [trainer.state(lane) for lane in range(lanes)]
    profile, _ = profile_steps(trainer)
    assert profile.steps == 3
    assert profile.lanes == lanes
    for lane, expected in enumerate(before):
        state = trainer.state(lane)
        assert state.state == expected.state, "the epoch's clock and position, too"
        for name, array in expected.arrays.items():
            assert np.array_equal(array, state.arrays[name]), name


def test_profiled_run_ends_as_an_unprofiled_one():
    plain, profiled = made(11), made(11)
    profile_steps(profiled)
    for trainer in (plain, profiled):
        while not trainer.finished:
            trainer.train_epoch()
    for name, array in plain.state(0).arrays.items():
        assert np.array_equal(array, profiled.state(0).arrays[name]), name


def test_operators_are_sorted_and_part_of_the_step(model_name):
    profile, _ = profile_steps(made(model=model_name))
    times = [operator.milliseconds for operator in profile.operators]
    assert times == sorted(times, reverse=True)
    assert len(times) == module.TOP_OPERATORS
    assert 0 < sum(times) <= 1.05 * profile.profiled_milliseconds
    assert profile.milliseconds > 0
    (adam,) = [operator for operator in profile.operators if operator.name == "aten::_fused_adam_"] or [None]
    assert adam is None or adam.calls == 2, "calls are per step"


def row(name: str, cpu: float, gpu: float, device: str, annotation: bool = False) -> SimpleNamespace:
    return SimpleNamespace(
        key=name,
        count=4,
        device_type=SimpleNamespace(name=device),
        is_user_annotation=annotation,
        self_cpu_time_total=cpu,
        self_device_time_total=gpu,
    )


@pytest.mark.parametrize(
    ("gpu", "expected"), [(False, [("aten::mm", 0.04)]), (True, [("gemm", 0.015), ("copy", 0.01)])]
)
def test_operators_of_a_cpu_and_kernels_of_a_gpu(gpu, expected):
    """Of two steps, in microseconds; a GPU's table has launches on the CPU and annotations, too."""
    rows = [
        row("copy", 0, 20, "CUDA"),
        row("gemm", 0, 30, "CUDA"),
        row("aten::mm", 80, 30, "CPU"),
        row("ProfilerStep#1", 90, 90, "CUDA" if gpu else "CPU", annotation=True),
    ]
    found = module._longest_operators(SimpleNamespace(key_averages=lambda: rows), 2, gpu=gpu)
    assert [(operator.name, operator.milliseconds) for operator in found] == expected
    assert {operator.calls for operator in found} == {2}


def test_trace_has_steps_and_operators():
    _, trace = profile_steps(made())
    events = json.loads(gzip.decompress(trace))["traceEvents"]
    steps = {event["name"] for event in events if event["name"].startswith("ProfilerStep#")}
    assert len(steps) == 3
    assert any(event["name"] == "aten::randn" for event in events)


def test_devices_without_a_profiler_are_an_error(monkeypatch):
    check_profiler(CPU)
    with pytest.raises(InputError, match="--profile: the profiler does not support mps"):
        check_profiler(torch.device("mps"))
    monkeypatch.setattr(torch.profiler, "kineto_available", lambda: False)
    with pytest.raises(InputError, match="--profile: this PyTorch was built without"):
        check_profiler(CPU)
