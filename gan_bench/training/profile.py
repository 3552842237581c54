"""Profile of a training step: a few steps under PyTorch's profiler, which are undone."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile, schedule

from gan_bench.core import signals
from gan_bench.core.errors import InputError
from gan_bench.core.records import OperatorTime, StepProfile
from gan_bench.training import warmup
from gan_bench.training.clock import Clock
from gan_bench.training.trainer import Trainer

MIN_STEPS, MAX_STEPS = 3, 20
SECONDS = 1.0
TOP_OPERATORS = 10


def check_profiler(device: torch.device) -> None:
    """Raise InputError where PyTorch's profiler does not support the device."""
    if not torch.profiler.kineto_available():
        raise InputError("--profile: this PyTorch was built without its profiler (kineto); omit --profile")
    if device.type not in ("cpu", "cuda"):
        raise InputError(f"--profile: the profiler does not support {device}; omit it, or type --device cpu")


def profile_steps(trainer: Trainer) -> tuple[StepProfile, bytes]:
    """Time a few steps without and with the profiler; return the profile and the trace, gzipped JSON.

    The trace is for ui.perfetto.dev or chrome://tracing. The trainer must be warmed up; its state is restored.
    """
    os.environ.setdefault("KINETO_LOG_LEVEL", "9")  # its log would interrupt the progress bars
    estimate = warmup.seconds_per_step(trainer, MIN_STEPS)
    steps = min(MAX_STEPS, max(MIN_STEPS, round(SECONDS / estimate)))
    seconds = warmup.seconds_per_step(trainer, steps)
    gpu = trainer.device.type == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if gpu else [])]
    plan = schedule(wait=0, warmup=1, active=steps, repeat=1)
    made, profiled, clock = 0, 0.0, Clock(trainer.device)

    def advance() -> None:
        nonlocal made, profiled, clock
        signals.check()
        trainer.next_step()()
        made += 1
        if made > steps:
            profiled = clock.seconds()
        profiler.step()
        if made == 1:  # the profiler's own warm-up
            clock = Clock(trainer.device)

    # without acc_events older versions warn
    with profile(activities=activities, schedule=plan, acc_events=True) as profiler:
        trainer.run_trial(advance, 1 + steps)
    step_profile = StepProfile(
        device=str(trainer.device),
        lanes=trainer.lanes,
        steps=steps,
        milliseconds=1e3 * seconds,
        profiled_milliseconds=1e3 * profiled / steps,
        operators=_longest_operators(profiler, steps, gpu=gpu),
    )
    return step_profile, _trace(profiler)


def _longest_operators(profiler: profile, steps: int, *, gpu: bool) -> tuple[OperatorTime, ...]:
    """Return the operators (CPU) or kernels (GPU) with the most time of their own, from torch's key averages."""
    kind = "CUDA" if gpu else "CPU"
    operators = [
        OperatorTime(
            name=row.key,
            milliseconds=(row.self_device_time_total if gpu else row.self_cpu_time_total) / 1e3 / steps,
            calls=row.count / steps,
        )
        for row in profiler.key_averages()
        if row.device_type.name == kind and not row.is_user_annotation
    ]
    return tuple(sorted(operators, key=lambda operator: -operator.milliseconds)[:TOP_OPERATORS])


def _trace(profiler: profile) -> bytes:
    with tempfile.TemporaryDirectory(prefix="gan_bench-") as folder:
        file = Path(folder) / "trace.json.gz"
        profiler.export_chrome_trace(str(file))
        return file.read_bytes()
