"""How many runs each program of a matrix trains together, where the user leaves that open."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from gan_bench import interruption
from gan_bench.errors import InputError
from gan_bench.spec import RunSpec

if TYPE_CHECKING:
    from gan_bench.place import Place
    from gan_bench.store.store import Store

SHORTEST_SECONDS = 5.0
"""Runs that all take less than this, by a rough guess, are not worth a trial."""
GUESSED_FLOPS = {"cpu": 1e11, "cuda": 5e13}
GUESSED_OVERHEAD_SECONDS = 1e-4


def choose_lanes(
    specs: Iterable[RunSpec], place: Place, store: Store, jobs: int, notify: Callable[[str], None]
) -> dict[str, int]:
    """Return the number of lanes for each group key, and tell of every choice that was measured, and why.

    Runs that were begun keep the number that they were begun with (the first one's, where they differ): they go
    on bit for bit only so.
    """
    alike: dict[str, list[RunSpec]] = {}
    for spec in specs:
        alike.setdefault(spec.group_key, []).append(spec)
    lanes = {}
    for key, members in alike.items():
        begun = next((count for spec in members if (count := store.lanes_begun(spec))), None)
        most = -(-len(members) // jobs)
        lanes[key], why = begun or 1, "as they were begun"
        if not begun and most > 1:
            why = "they are too short for a trial of more"
            if _guessed_seconds(members, place.device) >= SHORTEST_SECONDS:
                lanes[key], why = _measured(members[:most], place, jobs, notify)
                _release(place.device)
        if len(members) > 1 and most > 1:
            notify(f"{members[0].label}: {describe(lanes[key], why)}")
    return lanes


def _measured(
    members: Sequence[RunSpec], place: Place, jobs: int, notify: Callable[[str], None]
) -> tuple[int, str]:
    """Return how many to train together, and the measurements that speak for it."""
    import torch

    from gan_bench.training.lane_count import choose, try_lanes

    try:
        images, device = place.images(members[0], notify), torch.device(place.device)
        trials = try_lanes(members, images, device, interruption.check, jobs, notify)
    except InputError:
        raise
    except Exception as error:  # a run that can't be trained is a record of its own, later
        return 1, f"a trial failed: {(str(error).splitlines() or [type(error).__name__])[0]}"
    times = ", ".join(f"{each.seconds_per_lane * 1e3:.3g} ms with {each.lanes}" for each in trials)
    return choose(trials), f"a step of one of them takes {times}"


def _release(device: str) -> None:
    """Give back what the trials have left on the device: workers will need it."""
    import torch

    from gan_bench import environment

    environment.release_memory(torch.device(device))


def describe(lanes: int, why: str) -> str:
    """Say what was chosen, and why."""
    chosen = f"{lanes} runs are trained together" if lanes > 1 else "runs are trained one after the other"
    return f"{chosen} ({why}); --lanes N decides otherwise"


def _guessed_seconds(members: Sequence[RunSpec], device: str) -> float:
    from gan_bench.data.dataset import datasets
    from gan_bench.training.flops import step_flops

    spec = members[0]
    steps = spec.steps or (spec.epochs or 0) * (datasets.get(spec.dataset).train_size // spec.batch_size)
    flops = step_flops(spec)
    if flops is None:
        return float("inf")
    return (
        (flops / GUESSED_FLOPS.get(device.partition(":")[0], 1e11) + GUESSED_OVERHEAD_SECONDS)
        * steps
        * len(members)
    )
