"""Choice of how many runs each program trains together, where the user leaves it open."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gan_bench.core import signals
from gan_bench.core.errors import InputError, first_line
from gan_bench.core.events import Notice, OnEvent
from gan_bench.core.training_spec import TrainingSpec
from gan_bench.data.base import datasets
from gan_bench.devices import memory
from gan_bench.runner.context import RunContext
from gan_bench.store.store import Store
from gan_bench.training.flops import step_flops
from gan_bench.training.lanes import lane_trials

MIN_SECONDS = 5.0
"""Groups whose runs are estimated to take less than this together are not worth a trial."""
ESTIMATED_FLOPS = 5e13
"""FLOP/s of a GPU, for that estimate only."""
ESTIMATED_OVERHEAD_SECONDS = 1e-4


def choose_lanes(
    specs: Iterable[TrainingSpec], context: RunContext, store: Store, jobs: int, on_event: OnEvent
) -> dict[str, int]:
    """Return the number of lanes for each group key, and emit a notice for every measured choice.

    On a CPU it is 1, without a trial: measured there, lanes gain 1.18x at best and lose at worst. Runs with a
    checkpoint keep the number they were started with (the first one's, where they differ), because only so they
    resume bit-identically.
    """
    by_key: dict[str, list[TrainingSpec]] = {}
    for spec in specs:
        by_key.setdefault(spec.group_key, []).append(spec)
    lanes = {}
    for key, members in by_key.items():
        started = next((count for spec in members if (count := store.started_lanes(spec))), None)
        max_lanes = -(-len(members) // jobs)
        lanes[key] = started or 1
        if started or max_lanes == 1 or context.device.type == "cpu":
            continue
        why = "too short for a trial"
        if _estimated_seconds(members, context) >= MIN_SECONDS:
            lanes[key], why = _measure(members[:max_lanes], context, jobs, on_event)
            memory.release_memory(context.device)  # worker processes need it
        chosen = f"training {lanes[key]} runs together" if lanes[key] > 1 else "training runs one after another"
        on_event(Notice(f"{members[0].label}: {chosen} ({why}); --lanes N overrides this"))
    return lanes


def _measure(
    members: Sequence[TrainingSpec], context: RunContext, jobs: int, on_event: OnEvent
) -> tuple[int, str]:
    """Return the chosen number of lanes and the measurements behind it."""

    try:
        data = context.training_set(members[0], on_event)
        trials = lane_trials.try_lanes(members, data, context.device, signals.check, jobs, on_event)
    except InputError:
        raise
    except Exception as error:  # a run that can't be trained gets a failure record of its own later
        return 1, f"a trial failed: {first_line(error)}"
    times = ", ".join(f"{each.seconds_per_lane * 1e3:.3g} ms with {each.lanes}" for each in trials)
    return lane_trials.choose(trials), f"time per step and lane: {times}"


def _estimated_seconds(members: Sequence[TrainingSpec], context: RunContext) -> float:

    spec = members[0]
    flops = step_flops(spec)
    if flops is None:
        return float("inf")
    steps = spec.total_steps(datasets.get(spec.dataset).train_size)
    return (flops / ESTIMATED_FLOPS + ESTIMATED_OVERHEAD_SECONDS) * steps * len(members)
