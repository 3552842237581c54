"""gan-bench status: what of a results folder is done, running, failed and left."""

from __future__ import annotations

import statistics
from collections import Counter
from pathlib import Path
from typing import Any

import click


@click.command(short_help="What is done, running, failed, diverged, left.")
@click.argument("folder", metavar="[DIR]", type=click.Path(path_type=Path), default=Path("results/local"))
@click.option("--json", "as_json", is_flag=True, help="One JSON object a run.")
def status(folder: Path, as_json: bool) -> None:
    """Show what is done, running, failed, diverged and left in DIR (results/local)."""
    from gan_bench.cli.tables import print_rows
    from gan_bench.store.store import Store

    store = Store.open(folder, create=False, notify=lambda text: click.echo(text, err=True))
    ended, begun = store.runs(), store.unfinished()
    rows = [_row(run.spec, run.record.status, run.record.verdict or "", run.record.reason) for run in ended]
    for spec in begun:
        rows.append(_row(spec, "running" if store.is_running(spec) else "left", "", ""))
    print_rows(sorted(rows, key=lambda row: row["run"]), as_json=as_json)
    if as_json:
        return
    counts = Counter(row["status"] for row in rows)
    order = ("done", "running", "diverged", "failed", "left")
    click.echo(", ".join(f"{counts[name]} {name}" for name in order if counts[name]) or "nothing yet")
    if begun:
        click.echo(_estimate(ended, begun))


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
