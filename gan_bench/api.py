"""The Python API: run a matrix, evaluate runs, load results, write a report. The command line calls these."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from gan_bench.core import signals
from gan_bench.core.errors import GanBenchError, InputError, ReadError
from gan_bench.core.evaluation_spec import EvaluationSpec
from gan_bench.core.events import Notice, OnEvent, ignore_events
from gan_bench.core.failures import failure_reason
from gan_bench.core.files import remove_temporary
from gan_bench.core.matrix import Group, Matrix, group_runs
from gan_bench.core.option_fields import DEFAULT_OUT
from gan_bench.core.options import Options
from gan_bench.core.parsing import parse_path
from gan_bench.core.private_folder import provide_home
from gan_bench.core.records import LeftOut, RunRecord, StoredRun
from gan_bench.core.training_spec import TrainingSpec
from gan_bench.runner.plan import Plan, make_context, plan
from gan_bench.store.plan_files import KEPT, PlanFile, read_plans, write_plan
from gan_bench.store.replacement import Replacement
from gan_bench.store.store import Store

if TYPE_CHECKING:
    import pandas as pd

    from gan_bench.report.write_report import ReportPaths
    from gan_bench.runner.context import RunContext

ALL_RUNS = "all"


def run(matrix: Matrix, options: Options | None = None, on_event: OnEvent = ignore_events) -> list[RunRecord]:
    """Train, evaluate, time and store every run of a matrix that lacks a result; return the records of all.

    Raises InputError before anything is started or written, RunError when results can't be stored.
    """
    return execute(plan(matrix, options or Options(), on_event), on_event)


def execute(planned: Plan, on_event: OnEvent = ignore_events) -> list[RunRecord]:
    """Execute a plan; see `run`."""
    # imported here to keep the import of this module cheap: these load torch
    import torch

    from gan_bench.devices.allocation import allocated_threads
    from gan_bench.runner import evaluate as evaluation
    from gan_bench.runner.executors.base import executors
    from gan_bench.runner.lane_autotune import choose_lanes
    from gan_bench.runner.run_group import run_group
    from gan_bench.runner.scheduler import Scheduler

    context, options = planned.context, planned.options
    results = store = keep_plan(planned, on_event)
    replacement: Replacement | None = None
    if options.fresh and planned.to_train:
        replacement = Replacement(options.out, planned.specs, on_event)
        store = replacement.start(planned.to_train)
        context = replace(context, options=options.model_copy(update={"out": replacement.folder}))
        on_event = replacement.listener(on_event)
    jobs = min(options.jobs, max(1, len(planned.groups) + len(planned.to_evaluate)))
    threads = max(1, min(torch.get_num_threads(), allocated_threads()) // jobs)
    with signals.handle_signals():
        _prepare_references([*planned.to_train, *planned.to_evaluate], context, on_event)
        lanes = options.lanes or _with_threads(
            threads, lambda: choose_lanes(planned.to_train, context, store, jobs, on_event)
        )
        is_complete = evaluation.completion(store, context, on_event)
        groups = group_runs(planned.to_train, lanes) + [Group((spec,)) for spec in planned.to_evaluate]
        Scheduler(
            store=store,
            executor=executors.get(options.executor)(),
            work=functools.partial(run_group, context=context),
            options=options.model_copy(update={"jobs": jobs}),
            lanes=lanes,
            threads=threads,
            is_complete=lambda spec: is_complete(spec) or bool(replacement and not replacement.is_pending(spec)),
            on_event=on_event,
        ).schedule(groups)
        signals.check()  # a signal at the very end: leave without writing a report
    outcomes = [store.outcome(spec) for spec in planned.specs]
    if replacement:
        for record in filter(None, outcomes):
            replacement.commit(record)
        replacement.end()
        outcomes = [record or results.outcome(spec) for record, spec in zip(outcomes, planned.specs, strict=True)]
    return [record for record in outcomes if record]


def keep_plan(planned: Plan, on_event: OnEvent = ignore_events) -> Store:
    """Write what is missing into the results folder, so that workers may join; return its store.

    Nothing is trained. With `--fresh` no worker may join.
    """
    options, context = planned.options, planned.context
    store = Store.open(options.out, create=True, on_event=on_event)
    store.expect(planned.to_train)
    if (planned.to_train or planned.to_evaluate) and not options.fresh:
        kept = PlanFile(
            run_ids=tuple(spec.run_id for spec in planned.specs),
            evaluation=context.evaluation,
            options=options.model_dump(mode="json", include=set(KEPT)),
            dataset_requested=context.dataset_requested,
            plugins=tuple(path.name for path in options.plugins),
        )
        write_plan(options.out, kept)
    return store


def work(options: Options, on_event: OnEvent = ignore_events) -> list[RunRecord]:
    """Train and evaluate what is left of all plans of `options.out`, beside other workers; return their records.

    Devices, data, threads and lanes are this machine's, and so are `options`, except those that plans keep.
    Returns when nothing is left: runs that other workers hold are waited for, and taken over if those die.
    Raises InputError for a folder without plans, for plugins and images that are missing here, and for plans that
    can't be read.
    """
    plans = stored_plans(options.out)
    records: dict[str, RunRecord] = {}
    while True:
        found = [_planned(each, options, on_event) for each in plans]
        left = [each for each in found if each.to_train or each.to_evaluate]
        for each in found:
            outcomes = map(Store.open(options.out, create=False, on_event=on_event).outcome, each.finished)
            records |= {record.run_id: record for record in outcomes if record}
        if not left:
            return list(records.values())
        for each in left:
            records |= {record.run_id: record for record in execute(each, on_event)}
        # plans that arrived meanwhile; what failed is not tried for ever
        plans = [each for each in stored_plans(options.out) if each not in plans]


def stored_plans(folder: Path) -> Sequence[PlanFile]:
    """Return the plans of a results folder; raise InputError where there is none or one can't be read."""
    Store.open(folder, create=False)
    try:
        plans = read_plans(folder)
    except ReadError as error:
        raise InputError(f"{error}; remove that file, and plan its runs again") from error
    if not plans:
        raise InputError(
            f"results folder {folder}: it has no plan; gan-bench run --detach --out {folder} makes one"
        )
    return plans


def _planned(plan_file: PlanFile, options: Options, on_event: OnEvent) -> Plan:
    """Return what is missing of a plan's runs, on this machine."""
    from gan_bench.core.registry import load_plugins
    from gan_bench.data.base import datasets
    from gan_bench.devices import select
    from gan_bench.models.base import models
    from gan_bench.runner.plan import plan_runs

    load_plugins(options.plugins)
    options = Options(**{**dict(options), **plan_file.options})
    store = Store.open(options.out, create=False, on_event=on_event)
    specs = []
    for run_id in plan_file.run_ids:
        try:
            specs.append(store.spec(run_id))
        except ReadError as error:
            on_event(Notice(f"{error}; the run is left out: plan it again"))
    options = _with_images(options, specs, on_event)
    for spec in specs:
        if spec.dataset_sha256 and spec.dataset not in datasets:
            raise InputError(f"{spec.run_id} uses images {spec.dataset!r}: give --dataset {spec.dataset}=PATH")
        if spec.model not in models or spec.dataset not in datasets:
            given = " ".join(f"--plugin {name}" for name in plan_file.plugins) or "--plugin FILE"
            what = f"model {spec.model!r}" if spec.model not in models else f"data set {spec.dataset!r}"
            raise InputError(
                f"{spec.run_id}: {what} is not registered here: give {given}, with the path of the file"
            )
    context = make_context(options, select.find_device(options.device), plan_file.dataset_requested)
    return plan_runs(specs, replace(context, evaluation=plan_file.evaluation), on_event)


def evaluate(
    runs: Sequence[str],
    evaluation: EvaluationSpec | None = None,
    options: Options | None = None,
    on_event: OnEvent = ignore_events,
) -> list[RunRecord]:
    """Evaluate trained runs of `options.out` from their stored weights; return their records.

    `runs` are run ids or beginnings of them (see `choose_runs`); `all` is every run that is done. Existing scores
    are not computed again. Raises InputError for unknown or untrained runs, and for an invalid evaluation.
    """
    from gan_bench.core.registry import load_plugins
    from gan_bench.devices import select
    from gan_bench.metrics.base import resolve_metrics
    from gan_bench.runner.provenance import require_same_model

    options, evaluation = options or Options(), evaluation or EvaluationSpec()
    load_plugins(options.plugins)
    evaluation = evaluation.model_copy(update={"metrics": resolve_metrics(evaluation.metrics)})
    store = Store.open(options.out, create=False, on_event=on_event)
    chosen = choose_runs(store, runs)
    options = _with_images(options, [run.spec for run in chosen], on_event)
    for run in chosen:
        require_same_model(run)
    specs = [run.spec for run in chosen]
    context = make_context(options, select.find_device(options.device), "")
    context = replace(context, evaluation=evaluation)
    for name in dict.fromkeys(spec.dataset for spec in specs):
        context.evaluator(name, on_event)  # raises InputError for what can't work
    return execute(Plan(tuple(specs), (), (), tuple(specs), "", context), on_event)


def _with_images(options: Options, specs: Sequence[TrainingSpec], on_event: OnEvent) -> Options:
    """Return options whose own images are stored at the size that runs were trained on; registers them.

    Raises InputError for images that none of the runs was trained on.
    """
    from dataclasses import replace

    from gan_bench.data.user_images.dataset import open_images, register_source

    sources = []
    for source in options.image_sources:
        own = [spec for spec in specs if spec.dataset == source.name]
        for size in dict.fromkeys([None, *(spec.image_size for spec in own)]):
            sized = replace(source, image_size=size)
            if open_images(sized, options, on_event).sha256 in {spec.dataset_sha256 for spec in own}:
                break
        else:
            raise InputError(f"{source.typed}: no chosen run was trained on these images")
        register_source(sized, options, on_event)
        sources.append(sized)
    return options.model_copy(update={"image_sources": tuple(sources)})


def load_results(folder: Path | str = DEFAULT_OUT) -> pd.DataFrame:
    """Return one row per run of a results folder with an outcome: the columns of runs.csv."""
    from gan_bench.report.dataframes import runs_frame

    return runs_frame(Store.open(parse_path(str(folder), "folder"), create=False).runs())


def write_report(folder: Path | str = DEFAULT_OUT, on_event: OnEvent = ignore_events) -> ReportPaths:
    """Write tables, plots and the page of a results folder into its `report/`; loads no torch.

    Raises InputError where there are no results.
    """
    provide_home()  # Altair requires one
    from gan_bench.report.write_report import write_files

    folder = parse_path(str(folder), "folder")
    store = Store.open(folder, create=False, on_event=on_event)
    remove_temporary(folder, "store.json.")
    runs: list[StoredRun] = []
    left_out: list[LeftOut] = []
    for run in store.scan():
        if isinstance(run, LeftOut):
            store.notice_left_out(run)
            left_out.append(run)
        elif isinstance(run, StoredRun):
            runs.append(run)
    if not runs:
        damaged = f" ({len(left_out):,} damaged runs are left out)" if left_out else ""
        raise InputError(
            f"{folder}: no run has a result yet{damaged}; `gan-bench run --out {folder}` creates some"
        )
    return write_files(runs, folder / "report", left_out)


def choose_runs(store: Store, texts: Sequence[str]) -> list[StoredRun]:
    """Return the runs that `texts` name, each once: beginnings of ids, of hashes, or `all`.

    A beginning chooses every run that is done and starts with it. Raises InputError for a text that names none.
    """
    if not texts:
        raise InputError("no runs: name run ids, beginnings of them, or all")
    done = {run.spec.run_id: run for run in store.runs() if run.record.status == "done"}
    chosen: dict[str, StoredRun] = {}
    for text in texts:
        matching = {
            name: run for name, run in done.items() if text == ALL_RUNS or (text and name.startswith(text))
        }
        chosen |= matching or {run.spec.run_id: run for run in [_find(store, text)]}
    return list(chosen.values())


def _find(store: Store, text: str) -> StoredRun:
    """Return the run that `text` names; raise InputError if there is none, or if it has no images to evaluate."""
    if text == ALL_RUNS:
        raise InputError(f"{store.root}: no run is done yet; train some with gan-bench run --out {store.root}")
    try:
        run = store.find(text)
    except InputError:
        if os.sep in text or parse_path(text, "run").exists():
            raise InputError(
                f"{text}: evaluating images or models from a path is not supported yet; type run ids or all"
            ) from None
        raise
    if run.record.status != "done":
        raise InputError(f"{run.spec.run_id} is {run.record.status}: only runs that are done can be evaluated")
    return run


def _prepare_references(specs: Sequence[TrainingSpec], context: RunContext, on_event: OnEvent) -> None:
    """Score real images and noise once, before any training, so that worker processes find them in the cache."""
    from gan_bench.devices import memory
    from gan_bench.runner.evaluate import report_progress

    for name in dict.fromkeys(spec.dataset for spec in specs):
        try:
            context.evaluator(name, on_event).prepare(report_progress(on_event, ""))
        except (GanBenchError, OSError):  # invalid input, or the reader of events is gone
            raise
        except Exception as error:  # a metric that fails is recorded for each run, after its training
            on_event(Notice(f"scoring the reference images of {name} failed: {failure_reason(error)}"))
        memory.release_memory(context.device)  # needed by worker processes


def _with_threads(threads: int, function: Callable[[], dict[str, int]]) -> dict[str, int]:
    """Return function(), called with the number of CPU threads that a worker process has."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        return function()
    finally:
        torch.set_num_threads(before)
