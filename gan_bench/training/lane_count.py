"""How many lanes to train together: tried on the device, a moment each."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gan_bench import environment
from gan_bench.spec import RunSpec
from gan_bench.training import tuning
from gan_bench.training.trainer import Trainer

WORTH = 1.2
"""Lanes are trained together where that is at least so many times as fast as one after the other."""
NEAR = 1.05
"""Of counts that are about as fast, the smallest is taken: it costs the least memory."""
PATIENCE = 2
"""So many larger counts in a row that gain nothing end the trials: two lanes may be slow where eight are fast."""
MOST = 64
TRIAL_SECONDS = 0.25
REPEATS = 3
MEMORY_SHARE = 0.8
"""Of what is free on the device."""


@dataclass(frozen=True)
class Trial:
    """What a step of so many lanes takes: seconds and bytes of memory, both divided by the lanes."""

    lanes: int
    seconds_per_lane: float
    bytes_per_lane: float


def try_lanes(
    specs: Sequence[RunSpec],
    images: Tensor,
    device: torch.device,
    check: Callable[[], None] = lambda: None,
    workers: int = 1,
    notify: Callable[[str], None] = lambda text: None,
) -> list[Trial]:
    """Time steps of 1, 2, 4, ... lanes of runs that differ in seed and rates only, up to all of them.

    Ends early where ever more lanes gain nothing, can't be had, or would not fit into the memory that is free, of
    which so many `workers` will each have a part. `check` is called between trials, and may raise; so does what
    keeps the single run from being tried. `notify` hears what a trial had to do without.
    """
    trials: list[Trial] = []
    for lanes in _counts(len(specs)):
        free = MEMORY_SHARE * environment.free_memory(device) / workers
        if trials and lanes * trials[-1].bytes_per_lane > free:
            break
        check()
        try:
            trials.append(try_count(specs[:lanes], images, device, notify))
        except Exception:  # no memory, most often, of which every library has its own way to say so
            if not trials:
                raise
            break
        finally:
            environment.release_memory(device)  # workers will need it
        best = min(range(len(trials)), key=lambda index: trials[index].seconds_per_lane)
        if len(trials) - 1 - best >= PATIENCE:
            break
    if choose(trials) > 1:  # lest a slow moment of the machine's, at the single run's turn, pass for a gain
        check()
        again = try_count(specs[:1], images, device, notify)
        trials[0] = min(trials[0], again, key=lambda each: each.seconds_per_lane)
    return trials


def choose(trials: Sequence[Trial]) -> int:
    """Return the fewest lanes that are about as fast as any, or 1 where none are much faster than single runs."""
    best = min(each.seconds_per_lane for each in trials)
    if trials[0].seconds_per_lane < WORTH * best:
        return 1
    return next(each.lanes for each in trials if each.seconds_per_lane <= NEAR * best)


def _counts(most: int) -> list[int]:
    most = min(most, MOST)
    powers = [2**exponent for exponent in range(most.bit_length()) if 2**exponent < most]
    return [*powers, most]


def try_count(
    specs: Sequence[RunSpec], images: Tensor, device: torch.device, notify: Callable[[str], None]
) -> Trial:
    """Train so many runs together for a moment."""
    environment.reset_peak_memory(device)
    before, _ = environment.peak_memory(device)
    trainer = Trainer(specs, images, device)
    tuning.warm_up(trainer, notify, fuse=False)  # a compiler's minutes would cost more than they tell
    seconds = tuning.seconds_per_step(trainer, 1)
    if seconds < TRIAL_SECONDS:
        steps = round(TRIAL_SECONDS / seconds)
        seconds = statistics.median(tuning.seconds_per_step(trainer, steps) for _ in range(REPEATS))
    used = environment.peak_memory(device)[0] - before
    return Trial(len(specs), seconds / len(specs), used / len(specs))
