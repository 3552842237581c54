"""What `gan-bench run --profile` prints: where the time of a step went, for people and for programs."""

from __future__ import annotations

from collections.abc import Sequence

import click
from rich import box
from rich.table import Table
from rich.text import Text

from gan_bench.cli.tables import console, print_json
from gan_bench.record import StepProfile, TimeShare
from gan_bench.training.operators import readable

WIDE = 108
"""From so many columns on there is room for the kind of work beside each operator."""
LONGEST_NAME = 46


def print_profile(name: str, run_ids: Sequence[str], profile: StepProfile, trace: str, as_json: bool) -> None:
    """Print a step's time by kind of work and by operator, and where the trace is."""
    if as_json:
        print_json({"event": "profile", "run_ids": list(run_ids), **profile.model_dump(), "trace": trace})
        return
    whole = profile.profiled_milliseconds
    decimals = 1 if whole >= 100 else 2 if whole >= 10 else 3
    screen = console()
    alone = f"{profile.milliseconds:.{decimals}f}"
    click.echo(f"\n{name}: a step takes {alone} ms on {profile.device}; profiled:")
    kinds = _table("work", [(share.name, share) for share in profile.work], whole, decimals)
    kinds.add_row("the whole step", f"{whole:.{decimals}f}", "100.0", "")
    screen.print(kinds)
    if not profile.operators:
        click.echo(f"The profiler saw nothing that {profile.device} did: its CUPTI is not there, or not allowed.")
        return
    longest = [(_short(readable(share.name)), share) for share in profile.operators]
    screen.print(_table("what took longest", longest, whole, decimals, with_kind=screen.width >= WIDE))
    click.echo(f"{profile.steps} steps were traced; https://ui.perfetto.dev shows\n{trace}\n")


def _table(
    head: str, shares: Sequence[tuple[str, TimeShare]], whole: float, decimals: int, with_kind: bool = False
) -> Table:
    table = Table(head, box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("ms a step", "%", "calls"):
        table.add_column(column, justify="right")
    if with_kind:
        table.add_column("work")
    for name, share in shares:
        took = f"{share.milliseconds:.{decimals}f}"
        calls = "" if share.calls is None else f"{share.calls:.1f}"
        row = [name, took, f"{100 * share.milliseconds / whole:.1f}", calls, share.work]
        table.add_row(*map(Text, row[: len(table.columns)]))
    return table


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"
