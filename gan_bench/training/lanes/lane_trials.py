"""Number of lanes for a program: short trials on the device."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from gan_bench.core.events import OnEvent, ignore_events
from gan_bench.core.training_spec import TrainingSpec
from gan_bench.data.batch import Batch
from gan_bench.devices import memory
from gan_bench.training import warmup
from gan_bench.training.trainer import Trainer

MIN_SPEEDUP = 1.2
"""Use several lanes only if they are at least this many times as fast as runs one after the other."""
TOLERANCE = 1.05
"""Of lane counts within this factor of the fastest, take the smallest: it needs the least memory."""
PATIENCE = 2
"""End the trials after this many larger counts without a gain: two lanes may be slow where eight are fast."""
MAX_LANES = 64
TRIAL_SECONDS = 0.25
REPEATS = 3
MEMORY_SHARE = 0.8
"""Share of the device's free memory that a trial may use."""


@dataclass(frozen=True)
class Trial:
    """Seconds and bytes of memory of a step of `lanes` lanes, both divided by the lanes."""

    lanes: int
    seconds_per_lane: float
    bytes_per_lane: float


def try_lanes(
    specs: Sequence[TrainingSpec],
    data: Batch,
    device: torch.device,
    check: Callable[[], None] = lambda: None,
    workers: int = 1,
    on_event: OnEvent = ignore_events,
) -> list[Trial]:
    """Time steps of 1, 2, 4, ... lanes of runs that differ in seed and learning rates only, up to all of them.

    Ends early where more lanes gain nothing, fail, or would not fit into the free memory, of which each of
    `workers` processes gets a part. `check` is called between trials and may raise; a failure of the single run is
    raised too.
    """
    trials: list[Trial] = []
    for lanes in _counts(len(specs)):
        free = MEMORY_SHARE * memory.free_memory(device) / workers
        if trials and lanes * trials[-1].bytes_per_lane > free:
            break
        check()
        try:
            trials.append(try_count(specs[:lanes], data, device, on_event))
        except Exception:  # most often out of memory, which every library reports in its own way
            if not trials:
                raise
            break
        finally:
            memory.release_memory(device)  # workers need it
        best = min(range(len(trials)), key=lambda index: trials[index].seconds_per_lane)
        if len(trials) - 1 - best >= PATIENCE:
            break
    if choose(trials) > 1:  # repeat the single run, so that one slow moment of the machine is not taken for a gain
        check()
        again = try_count(specs[:1], data, device, on_event)
        trials[0] = min(trials[0], again, key=lambda trial: trial.seconds_per_lane)
    return trials


def choose(trials: Sequence[Trial]) -> int:
    """Return the fewest lanes that are about as fast as any, or 1 where none are much faster than single runs."""
    best = min(trial.seconds_per_lane for trial in trials)
    if trials[0].seconds_per_lane < MIN_SPEEDUP * best:
        return 1
    return next(trial.lanes for trial in trials if trial.seconds_per_lane <= TOLERANCE * best)


def _counts(max_lanes: int) -> list[int]:
    max_lanes = min(max_lanes, MAX_LANES)
    powers = [2**exponent for exponent in range(max_lanes.bit_length()) if 2**exponent < max_lanes]
    return [*powers, max_lanes]


def try_count(
    specs: Sequence[TrainingSpec], data: Batch, device: torch.device, on_event: OnEvent = ignore_events
) -> Trial:
    """Train the runs together for a moment."""
    memory.reset_peak_memory(device)
    before, _ = memory.peak_memory(device)
    trainer = Trainer(specs, data, device)
    warmup.warm_up(trainer, on_event, fuse=False)  # compiling takes longer than the trial may
    seconds = warmup.seconds_per_step(trainer, 1)
    if seconds < TRIAL_SECONDS:
        steps = round(TRIAL_SECONDS / seconds)
        seconds = statistics.median(warmup.seconds_per_step(trainer, steps) for _ in range(REPEATS))
    used = memory.peak_memory(device)[0] - before
    return Trial(len(specs), seconds / len(specs), used / len(specs))
