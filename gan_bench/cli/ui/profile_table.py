"""The operators of a training step and their times, as `gan-bench run --profile` prints them."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from gan_bench.cli.ui.output import console, echo, one_line, print_json
from gan_bench.core.records import StepProfile

MAX_NAME = 46


def print_profile(name: str, run_ids: Sequence[str], profile: StepProfile, trace: str, as_json: bool) -> None:
    """Print a step's time, its longest operators with milliseconds and calls per step, and the trace's path."""
    if as_json:
        print_json({"event": "profile", "run_ids": list(run_ids), **profile.model_dump(), "trace": trace})
        return
    times = profile.milliseconds, profile.profiled_milliseconds
    decimals = 1 if times[1] >= 100 else 2 if times[1] >= 10 else 3
    alone, profiled = (f"{time:.{decimals}f}" for time in times)
    echo(f"\n{name}: a step takes {alone} ms on {profile.device} ({profiled} ms profiled)")
    if not profile.operators:
        echo(f"The profiler recorded no work on {profile.device}: CUPTI is missing or not permitted.")
        return
    table = Table("operator", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("ms/step", "calls/step"):
        table.add_column(column, justify="right")
    for operator in profile.operators:
        time, calls = f"{operator.milliseconds:.{decimals}f}", f"{operator.calls:.1f}"
        table.add_row(*map(Text, (_short(one_line(operator.name)), time, calls)))
    console().print(table)
    echo(f"Trace of {profile.steps} steps, for https://ui.perfetto.dev:\n{trace}\n")


def _short(name: str) -> str:
    return name if len(name) <= MAX_NAME else name[: MAX_NAME - 1] + "…"
