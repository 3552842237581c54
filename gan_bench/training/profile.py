"""Where the time of a step goes: a few steps under PyTorch's profiler, which leave no trace in the run."""

from __future__ import annotations

import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch.profiler import ProfilerActivity, profile, schedule

from gan_bench import interruption
from gan_bench.errors import InputError
from gan_bench.record import StepProfile, TimeShare
from gan_bench.training.clock import synchronise
from gan_bench.training.operators import KINDS, OTHER, kind_of_kernel, kind_of_operator
from gan_bench.training.trainer import Trainer

if TYPE_CHECKING:
    from torch.autograd.profiler_util import FunctionEvent

FEWEST_STEPS, MOST_STEPS = 3, 20
ENOUGH_SECONDS = 1.0
TOP_OPERATORS = 10


def check_profiler(device: torch.device) -> None:
    """Raise InputError where PyTorch's profiler can't see what the device does."""
    if not torch.profiler.kineto_available():
        raise InputError("--profile: this PyTorch was built without its profiler (kineto); leave --profile out")
    if device.type not in ("cpu", "cuda"):
        raise InputError(f"--profile: the profiler does not see {device}; leave it out, or type --device cpu")


def profile_steps(trainer: Trainer) -> tuple[StepProfile, bytes]:
    """Make some of the next steps, first without and then under the profiler, and take them all back.

    Returns where the time went, and the trace: gzipped JSON, for ui.perfetto.dev or chrome://tracing. The trainer
    has warmed up and has steps left; its weights, random streams and clocks are put back.
    """
    os.environ.setdefault("KINETO_LOG_LEVEL", "9")  # its log would break into the progress bars
    gpu = trainer.device.type == "cuda"
    most = min(MOST_STEPS, trainer.total_steps - trainer.step)
    with trainer.taken_back():
        steps, seconds = _make_steps(
            trainer, lambda made, spent: made >= most or (made >= FEWEST_STEPS and spent >= ENOUGH_SECONDS)
        )
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if gpu else [])]
    plan = schedule(wait=0, warmup=1, active=steps, repeat=1)
    under = profile(activities=activities, schedule=plan, acc_events=True)  # without acc_events older ones warn
    with trainer.taken_back(), under as profiler:
        with trainer.taken_back():
            _make_steps(trainer, lambda made, _: made == 1)
        profiler.step()
        _, profiled = _make_steps(trainer, lambda made, _: made == steps, profiler.step)
    work, operators = shares(profiler.events() or [], steps, 1e3 * profiled / steps, gpu=gpu)
    told = StepProfile(
        device=str(trainer.device),
        lanes=trainer.lanes,
        steps=steps,
        milliseconds=1e3 * seconds / steps,
        profiled_milliseconds=1e3 * profiled / steps,
        work=work,
        operators=operators,
    )
    return told, _trace(profiler)


def _make_steps(
    trainer: Trainer, enough: Callable[[int, float], bool], after_step: Callable[[], object] = lambda: None
) -> tuple[int, float]:
    """Make steps until `enough`, told their number and the seconds so far; return both, the device waited for."""
    made, seconds, done = 0, 0.0, False

    def pause() -> bool:
        nonlocal made, seconds, done
        interruption.check()
        made, seconds = made + 1, time.perf_counter() - start
        done = enough(made, seconds)
        if done:
            synchronise(trainer.device)
            seconds = time.perf_counter() - start
        after_step()
        return done

    start = time.perf_counter()
    while not done:
        trainer.train_steps(pause=pause)
        if trainer.epoch_is_trained:
            trainer.close_epoch()
    return made, seconds


def shares(
    events: Sequence[FunctionEvent], steps: int, milliseconds: float, *, gpu: bool
) -> tuple[tuple[TimeShare, ...], tuple[TimeShare, ...]]:
    """Return what each kind of work, and each of the longest operators, took of a step of so many milliseconds.

    On a CPU an operator's time is its own, without that of the operators that it calls. On a GPU it is that of
    kernels, and what the step has left is time in which none ran.
    """
    ran = [each for each in events if (each.device_type.name != "CPU") == gpu and not each.is_user_annotation]
    spent: Counter[str] = Counter()
    for event in ran:
        spent[event.name] += event.time_range.end - event.time_range.start if gpu else event.self_cpu_time_total
    calls = Counter(event.name for event in ran)
    kind_of = kind_of_kernel if gpu else kind_of_operator

    def share(name: str, work: str, names: Sequence[str]) -> TimeShare:
        took = sum(spent[each] for each in names) / 1e3 / steps
        return TimeShare(name=name, work=work, milliseconds=took, calls=sum(calls[each] for each in names) / steps)

    kinds = [share(kind, kind, [name for name in spent if kind_of(name) == kind]) for kind in KINDS]
    busy = _covered(ran) / 1e3 / steps if gpu else sum(kind.milliseconds for kind in kinds)
    kinds.append(TimeShare(name=OTHER, work=OTHER, milliseconds=max(0.0, milliseconds - busy)))
    longest = [share(name, kind_of(name), [name]) for name, _ in spent.most_common(TOP_OPERATORS)]
    return tuple(kinds), tuple(longest)


def _covered(events: Sequence[FunctionEvent]) -> float:
    """Return in how many microseconds at least one of the events ran: kernels of several streams overlap."""
    covered, until = 0.0, float("-inf")
    for start, end in sorted((event.time_range.start, event.time_range.end) for event in events):
        covered += max(0.0, end - max(start, until))
        until = max(until, end)
    return covered


def _trace(profiler: profile) -> bytes:
    with tempfile.TemporaryDirectory(prefix="gan_bench-") as folder:
        file = Path(folder) / "trace.json.gz"
        profiler.export_chrome_trace(str(file))
        return file.read_bytes()
