"""Profile of a training step: a few steps under PyTorch's profiler, which are undone."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile, schedule

from gan_bench.core import signals
from gan_bench.core.errors import InputError
from gan_bench.core.records import OperatorTime, StepProfile
from gan_bench.training.clock import synchronize
from gan_bench.training.trainer import Trainer

MIN_STEPS, MAX_STEPS = 3, 20
MIN_SECONDS = 1.0
TOP_OPERATORS = 10


def check_profiler(device: torch.device) -> None:
    """Raise InputError where PyTorch's profiler does not support the device."""
    if not torch.profiler.kineto_available():
        raise InputError("--profile: this PyTorch was built without its profiler (kineto); omit --profile")
    if device.type not in ("cpu", "cuda"):
        raise InputError(f"--profile: the profiler does not support {device}; omit it, or type --device cpu")


def profile_steps(trainer: Trainer) -> tuple[StepProfile, bytes]:
    """Time the next few steps without and with the profiler; return the profile and the trace, gzipped JSON.

    The trace is for ui.perfetto.dev or chrome://tracing. The trainer must be warmed up and have steps left; its
    state is restored.
    """
    os.environ.setdefault("KINETO_LOG_LEVEL", "9")  # its log would interrupt the progress bars
    max_steps = min(MAX_STEPS, trainer.total_steps - trainer.step)
    with trainer.preserved_state():
        steps, seconds = _make_steps(
            trainer, lambda made, spent: made >= max_steps or (made >= MIN_STEPS and spent >= MIN_SECONDS)
        )
    gpu = trainer.device.type == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if gpu else [])]
    plan = schedule(wait=0, warmup=1, active=steps, repeat=1)
    under = profile(activities=activities, schedule=plan, acc_events=True)  # without acc_events older ones warn
    with trainer.preserved_state(), under as profiler:
        with trainer.preserved_state():
            _make_steps(trainer, lambda made, _: made == 1)
        profiler.step()
        _, profiled = _make_steps(trainer, lambda made, _: made == steps, profiler.step)
    step_profile = StepProfile(
        device=str(trainer.device),
        lanes=trainer.lanes,
        steps=steps,
        milliseconds=1e3 * seconds / steps,
        profiled_milliseconds=1e3 * profiled / steps,
        operators=_longest_operators(profiler, steps, gpu=gpu),
    )
    return step_profile, _trace(profiler)


def _make_steps(
    trainer: Trainer, enough: Callable[[int, float], bool], after_step: Callable[[], object] = lambda: None
) -> tuple[int, float]:
    """Make steps until `enough(steps, seconds)`; return both, with the device synchronized."""
    made, seconds, done = 0, 0.0, False

    def pause() -> bool:
        nonlocal made, seconds, done
        signals.check()
        made, seconds = made + 1, time.perf_counter() - start
        done = enough(made, seconds)
        if done:
            synchronize(trainer.device)
            seconds = time.perf_counter() - start
        after_step()
        return done

    start = time.perf_counter()
    while not done:
        trainer.train_steps(pause=pause)
        if trainer.epoch_is_trained:
            trainer.close_epoch()
    return made, seconds


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
