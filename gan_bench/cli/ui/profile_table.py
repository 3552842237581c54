"""The operators of a training step and their times, as `gan-bench run --profile` prints them."""

from __future__ import annotations

from collections.abc import Sequence

from gan_bench.cli.ui.output import echo, print_json
from gan_bench.cli.ui.tables import print_rows
from gan_bench.core.numbers import number
from gan_bench.core.records import StepProfile

MAX_NAME = 46


def print_profile(name: str, run_ids: Sequence[str], profile: StepProfile, trace: str, as_json: bool) -> None:
    """Print a step's time, its longest operators with milliseconds and calls per step, and the trace's path."""
    if as_json:
        print_json({"event": "profile", "run_ids": list(run_ids), **profile.model_dump(), "trace": trace})
        return
    alone, profiled = number(profile.milliseconds), number(profile.profiled_milliseconds)
    echo(f"\n{name}: a step takes {alone} ms on {profile.device} ({profiled} ms profiled)")
    if not profile.operators:
        echo(f"The profiler recorded no work on {profile.device}: CUPTI is missing or not permitted.")
        return
    rows = [
        {"operator": _short(each.name), "ms/step": each.milliseconds, "calls/step": each.calls}
        for each in profile.operators
    ]
    print_rows(rows, as_json=False)
    echo(f"Trace of {profile.steps} steps, for https://ui.perfetto.dev:\n{trace}\n")


def _short(name: str) -> str:
    return name if len(name) <= MAX_NAME else name[: MAX_NAME - 1] + "…"
