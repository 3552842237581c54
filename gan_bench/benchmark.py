"""The benchmark from Python: run a matrix, load its results, report on them. The CLI calls these."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from gan_bench import interruption
from gan_bench.errors import InputError
from gan_bench.matrix import Lanes, Matrix, group_runs
from gan_bench.planning import DEFAULT_OUT, Options, Plan, plan
from gan_bench.record import Observer, Progress, RunRecord
from gan_bench.session import Policy, Session
from gan_bench.store.store import Store

if TYPE_CHECKING:
    import pandas as pd

    from gan_bench.report.report import ReportPaths


def run(
    matrix: Matrix,
    options: Options | None = None,
    observer: Observer = lambda news: None,
) -> list[RunRecord]:
    """Train, score, time and store every run of a matrix that has no result yet; return all their records.

    Raises InputError before anything is started or written, RunError when results can't be stored.
    """
    return execute(plan(matrix, options or Options(), _notices(observer)), observer)


def execute(planned: Plan, observer: Observer = lambda news: None) -> list[RunRecord]:
    """Run a plan; see `run`."""
    # here, not above: to import this file must stay cheap, and these load torch
    import torch

    from gan_bench import pipeline
    from gan_bench.execution.executor import executors

    options, left = planned.options, planned.left
    executor = executors.get(options.executor)()
    store = Store.open(options.out, create=True, notify=_notices(observer))
    if options.fresh:
        for spec in left:
            store.forget(spec)
    store.expect(left)
    open_sink = functools.partial(Store.open, options.out, create=False)
    work = functools.partial(pipeline.run_group, open_sink=open_sink, place=planned.place)
    jobs = min(options.jobs, max(1, len(planned.groups)))
    with interruption.by_signals():
        _prepare_evaluation(planned, observer)
        lanes = options.lanes or _choose_lanes(planned, store, jobs, observer)
        policy = Policy(
            jobs=jobs,
            threads=max(1, torch.get_num_threads() // jobs),
            lanes=lanes,
            fail_fast=options.fail_fast,
            retries=options.retries,
            run_timeout=options.run_timeout,
        )
        Session(store, executor, work, policy, observer).run(group_runs(left, lanes))
        interruption.check()  # asked to stop at the very end: whoever asked need not wait for a report
    found = (store.outcome(spec) for spec in planned.specs)
    return [record for record in found if record]


def _prepare_evaluation(planned: Plan, observer: Observer) -> None:
    """Score real images and noise once, before any training, so that workers find it all at hand."""
    from gan_bench import environment

    if not planned.left:
        return
    first, place, notify = planned.left[0], planned.place, _notices(observer)
    evaluator = place.evaluator(place.data(first.dataset, notify), first.evaluation, notify)

    def progress(done: int, total: int) -> None:
        interruption.check()
        observer(Progress(kind="evaluation", text="reference", done=done, total=total))

    evaluator.prepare(progress)
    environment.release_memory(planned.device)  # workers will need it


def _choose_lanes(planned: Plan, store: Store, jobs: int, observer: Observer) -> Lanes:
    """Return how many runs each program is to train together, tried with the threads that a worker will have."""
    import torch

    from gan_bench.lane_choice import choose_lanes

    notify, threads = _notices(observer), torch.get_num_threads()
    torch.set_num_threads(max(1, threads // jobs))
    try:
        return choose_lanes(planned.left, planned.place, store, jobs, notify)
    finally:
        torch.set_num_threads(threads)


def load_results(folder: Path = DEFAULT_OUT) -> pd.DataFrame:
    """Return one row a finished run of a results folder: the columns of runs.csv."""
    from gan_bench.report.frame import runs_frame

    return runs_frame(Store.open(Path(folder), create=False).runs())


def write_report(folder: Path = DEFAULT_OUT, notify: Callable[[str], None] = lambda text: None) -> ReportPaths:
    """Write tables, plots and the page of a results folder into its `report/`; needs no torch.

    Raises InputError where there are no results.
    """
    from gan_bench.report import report

    folder = Path(folder)
    runs = Store.open(folder, create=False, notify=notify).runs()
    if not runs:
        raise InputError(f"{folder}: no run has a result yet; `gan-bench run --out {folder}` makes some")
    return report.write_report(runs, folder / "report")


def _notices(observer: Observer) -> Callable[[str], None]:
    return lambda text: observer(Progress(kind="notice", text=text))
