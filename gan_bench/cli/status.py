"""gan-bench status: what of a results folder is done, running, failed and left."""

from __future__ import annotations

import statistics
from collections import Counter
from pathlib import Path
from typing import Any

import click

LOG_LINES = 6
"""Of a failed run: where an exception came from, and what it said."""


@click.command(short_help="What is done, running, failed, diverged, left.")
@click.argument("folder", metavar="[DIR]", type=click.Path(path_type=Path), default=Path("results/local"))
@click.option("--json", "as_json", is_flag=True, help="One JSON object a run.")
def status(folder: Path, as_json: bool) -> None:
    """Show what is done, running, failed, diverged and left in DIR (results/local), and why runs failed."""
    from gan_bench.cli.tables import print_json, print_rows, tell
    from gan_bench.store.store import Store

    store = Store.open(folder, create=False, notify=tell)
    ended, begun = store.runs(), store.unfinished()
    rows = [_row(run.spec, run.record.status, run.record.verdict or "", run.record.reason) for run in ended]
    for spec in begun:
        rows.append(_row(spec, "running" if store.is_running(spec) else "left", "", ""))
    rows.sort(key=lambda row: row["run"])
    logs = {run.record.run_id: run.record.log_tail for run in ended if run.record.status == "failed"}
    if as_json:
        for row in rows:
            print_json({**row, "log_tail": logs.get(row["run"], "")})
        return
    print_rows(rows, as_json=False)
    for run_id, log in logs.items():
        _show_log(run_id, log)
    counts = Counter(row["status"] for row in rows)
    order = ("done", "running", "diverged", "failed", "left")
    click.echo(", ".join(f"{counts[name]} {name}" for name in order if counts[name]) or "nothing yet")
    if begun:
        click.echo(_estimate(ended, begun))


def _show_log(run_id: str, log: str) -> None:
    """Print the last lines that a failed run left; nothing where it left none."""
    from gan_bench.errors import printable

    lines = [line for line in printable(log).splitlines() if line.strip()][-LOG_LINES:]
    if lines:
        click.echo("\n".join([f"{run_id} failed; its log ends with:", *(f"    {line}" for line in lines), ""]))


def _row(spec: Any, state: str, verdict: str, reason: str) -> dict[str, Any]:
    return {"run": spec.run_id, "status": state, "verdict": verdict, "reason": reason}


def _estimate(ended: list[Any], begun: list[Any]) -> str:
    """Say how long the rest takes, from finished runs that differ in seed and rates only."""
    taken: dict[str, list[float]] = {}
    for run in ended:
        if run.record.status == "done":
            seconds = run.record.train_seconds / run.record.lanes + run.record.eval_seconds
            taken.setdefault(run.spec.group_key, []).append(seconds)
    known = [statistics.median(taken[spec.group_key]) for spec in begun if spec.group_key in taken]
    if not known:
        return "No run of their kind is done yet, so there is no estimate of the rest."
    unknown = len(begun) - len(known)
    rest = f", and {unknown} of a kind not seen yet" if unknown else ""
    return f"The rest: about {sum(known) / 60:.1f} minutes of one worker's work for {len(known)} runs{rest}."
