"""gan-bench status: which runs of a results folder are done, running, failed and pending."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import click

from gan_bench.cli import options as shared

if TYPE_CHECKING:
    from gan_bench.core.records import RunRecord
    from gan_bench.core.training_spec import TrainingSpec

LOG_LINES = 6
"""Lines shown of a failed run's log: enough for the end of a traceback."""
DAMAGED = "damaged"
STATES = ("done", "running", "diverged", "failed", "pending", DAMAGED)
Outcome: TypeAlias = "tuple[TrainingSpec, RunRecord]"


@click.command()
@shared.results_argument
@shared.json_option
def status(folder: Path, as_json: bool) -> None:
    """Show which runs of DIR (results/local) are done, running, diverged, failed, pending; and why runs failed."""
    from gan_bench.cli.ui.output import echo, print_json, print_notice
    from gan_bench.cli.ui.tables import print_rows
    from gan_bench.core.records import LeftOut, StoredRun
    from gan_bench.store.store import Store

    store = Store.open(folder, create=False, on_event=print_notice)
    ended: list[Outcome] = []
    unfinished: list[TrainingSpec] = []
    rows: list[dict[str, Any]] = []
    for run in store.scan():
        if isinstance(run, StoredRun):  # epochs and scores are not kept: there may be ten thousand runs
            ended.append((run.spec, run.record))
            rows.append(_row(run.spec.run_id, run.record.status, run.record.verdict, _reason(run.record)))
        elif isinstance(run, LeftOut):
            store.notice_left_out(run)
            rows.append(_row(run.run_id, DAMAGED, "", run.reason))
        else:
            unfinished.append(run)
            rows.append(_row(run.run_id, "running" if store.is_running(run) else "pending", "", ""))
    logs = {record.run_id: record.log_tail for _, record in ended if record.failure}
    if as_json:
        for row in rows:
            print_json({**row, "log_tail": logs.get(row["run"], "")})
        return
    print_rows(rows, as_json=False)
    for run_id, log in logs.items():
        _show_log(run_id, log)
    counts = Counter(row["status"] for row in rows)
    unscored = sum(bool(record.evaluation_failure) for _, record in ended)
    note = f"; the evaluation of {unscored} failed" if unscored else ""
    echo((", ".join(f"{counts[name]} {name}" for name in STATES if counts[name]) or "no runs yet") + note)
    if counts[DAMAGED]:
        echo(f"Damaged runs are left out of reports. gan-bench doctor --results {folder} says what to do.")
    if unfinished:
        echo(_estimate(ended, unfinished))


def _show_log(run_id: str, log: str) -> None:
    """Print the last lines of a failed run's log, if it has one."""
    from gan_bench.cli.ui.output import echo

    lines = [line for line in log.splitlines() if line.strip()][-LOG_LINES:]
    if lines:
        echo("\n".join([f"{run_id} failed; its log ends with:", *(f"    {line}" for line in lines), ""]))


def _row(run_id: str, state: str, verdict: str, reason: str) -> dict[str, Any]:
    return {"run": run_id, "status": state, "verdict": verdict, "reason": reason}


def _reason(record: RunRecord) -> str:
    """Return why a run failed or diverged, or why its evaluation failed."""
    return record.reason or (f"evaluation failed: {record.failure}" if record.failure else "")


def _estimate(ended: Sequence[Outcome], unfinished: Sequence[TrainingSpec]) -> str:
    """Return the remaining time in words, from finished runs that differ in seed and rates only."""
    seconds: dict[str, list[float]] = {}
    for spec, record in ended:
        if record.status == "done":
            alone = record.train_seconds / record.lanes + record.eval_seconds
            seconds.setdefault(spec.group_key, []).append(alone)
    known = [statistics.median(seconds[spec.group_key]) for spec in unfinished if spec.group_key in seconds]
    if not known:
        return "No estimate of the remaining time: no comparable run is done yet."
    unknown = len(unfinished) - len(known)
    others = f", and {unknown} without an estimate" if unknown else ""
    return f"Remaining: about {sum(known) / 60:.1f} minutes of one worker for {len(known)} runs{others}."
