"""The benchmark from Python: plan a matrix, run it, load its results, report on them. The CLI calls these."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from gan_bench import interruption
from gan_bench.errors import InputError, RunError
from gan_bench.matrix import Group, Lanes, Matrix, group_runs, one_of_each
from gan_bench.record import Observer, Progress, RunRecord
from gan_bench.registry import load_plugins as load_plugins  # the command line asks for it here
from gan_bench.session import Policy, Session
from gan_bench.spec import Precision, Recipe, RunSpec
from gan_bench.store.root_folder import has_results
from gan_bench.store.store import Store

if TYPE_CHECKING:
    import pandas as pd
    import torch

    from gan_bench.pipeline import Place
    from gan_bench.report.report import ReportPaths

DEFAULT_OUT = Path("results/local")
MOST_WORKERS = 1024


@dataclass(frozen=True)
class Options:
    """Where and how a matrix is run; nothing here changes what a run is.

    `preset` None: `standard` with a GPU, `quick` without. `data_root` None: GAN_BENCH_DATA, else the user's
    cache. `lanes` None: as many runs are trained together as a trial on the device speaks for.
    """

    out: Path = DEFAULT_OUT
    preset: str | None = None
    device: str = "auto"
    data_root: Path | None = None
    cache_dir: Path | None = None
    offline: bool = False
    lanes: int | None = None
    jobs: int = 1
    executor: str = "local"
    fresh: bool = False
    fail_fast: bool = False
    plugins: tuple[Path, ...] = ()
    checkpoint_every: float = 60.0
    """Seconds of training that an end without warning may cost at most."""
    run_timeout: float | None = None
    """Seconds after which a group of runs is ended, with all that it started, as failed."""
    retries: int = 0
    """How often a failed run is tried again at once."""
    retry_failed: bool = True
    """Whether runs that failed earlier count as missing, and are tried again."""
    deterministic: bool = False
    """Whether a GPU is to compute in a fixed order, so that a run goes on bit for bit; a CPU always does."""
    profile: bool = False
    """Whether to tell of each model's step where its time goes, and keep a trace; the runs stay the same."""


@dataclass(frozen=True)
class Plan:
    """What a matrix comes to: every run, those that have their result already, and the groups to train."""

    specs: tuple[RunSpec, ...]
    finished: tuple[RunSpec, ...]
    groups: tuple[Group, ...]
    preset: str
    device: torch.device
    options: Options
    dataset_requested: str
    notices: tuple[str, ...] = field(default=())


def plan(matrix: Matrix, options: Options, notify: Callable[[str], None] = lambda text: None) -> Plan:
    """Return what `run` would do, having refused (InputError) everything that can't work; nothing is written.

    A data set that is missing is downloaded, for without it nothing can be checked.
    """
    # here, not above: to import this file must stay cheap, and these load torch
    from gan_bench import environment
    from gan_bench.data import dataset as data
    from gan_bench.metrics.extractors.find import default_extractor
    from gan_bench.metrics.metric import resolve_metrics

    load_plugins(options.plugins)
    device = environment.find_device(options.device)
    if options.deterministic and device.type == "cuda":
        environment.be_deterministic()
    preset = options.preset or ("quick" if device.type == "cpu" else "standard")
    matrix = matrix.with_preset(preset)
    _check_times(options)
    for name, asked in (("jobs", options.jobs), ("lanes", options.lanes)):
        if asked is not None and not 1 <= asked <= MOST_WORKERS:
            raise InputError(f"--{name} {asked}: type a whole number from 1 to {MOST_WORKERS:,}")
    _check_out(options.out)
    root = options.data_root or data.default_root()
    requested = matrix.dataset
    metrics = resolve_metrics(matrix.metrics) if matrix.metrics else None
    precision = _precision(matrix.precision, device)
    if requested == "auto":  # what is misspelt is said before anything is downloaded
        matrix.model_copy(update={"dataset": data.FALLBACK, "precision": precision}).expand(Registries())
    chosen = data.choose(requested, root, offline=options.offline, notify=notify)
    extractors = matrix.extractors or ("auto",)
    resolved = matrix.model_copy(
        update={
            "dataset": chosen,
            "precision": precision,
            "extractors": tuple(
                dict.fromkeys(default_extractor(chosen) if e == "auto" else e for e in extractors)
            ),
            "metrics": metrics,
        }
    )
    specs = tuple(resolved.expand(Registries()))
    options = replace(options, data_root=root)
    _check(specs, options, device, notify)
    store = Store.open(options.out, create=False, notify=notify) if has_results(options.out) else None
    finished = tuple(spec for spec in specs if store and not options.fresh and _has_ended(store, spec, options))
    left = [spec for spec in specs if spec not in finished]
    return Plan(specs, finished, tuple(group_runs(left, options.lanes or 1)), preset, device, options, requested)


def run(
    matrix: Matrix,
    options: Options = Options(),
    observer: Observer = lambda news: None,
) -> list[RunRecord]:
    """Train, score, time and store every run of a matrix that has no result yet; return all their records.

    Raises InputError before anything is started or written, RunError when results can't be stored.
    """
    return execute(plan(matrix, options, _notices(observer)), observer)


def execute(planned: Plan, observer: Observer = lambda news: None) -> list[RunRecord]:
    """Run a plan; see `run`."""
    import torch

    from gan_bench import pipeline
    from gan_bench.execution.executor import executors

    options = planned.options
    executor = executors.get(options.executor)()
    notify = _notices(observer)
    store = Store.open(options.out, create=True, notify=notify)
    left = [spec for group in planned.groups for spec in group.specs]
    if options.fresh:
        for spec in left:
            store.forget(spec)
    store.expect(left)
    assert options.data_root is not None
    place = pipeline.Place(
        str(planned.device),
        options.data_root,
        options.cache_dir,
        options.offline,
        planned.dataset_requested,
        tuple(file.resolve() for file in options.plugins),
        options.checkpoint_every,
        options.deterministic,
        _profiled(planned, notify),
    )
    work = functools.partial(
        pipeline.run_group, open_sink=functools.partial(Store.open, options.out, create=False), place=place
    )
    jobs = min(options.jobs, max(1, len(planned.groups)))
    with interruption.by_signals():
        _prepare_evaluation(left, place, observer)
        lanes = options.lanes or _fit_lanes(left, place, store, jobs, notify)
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


def _fit_lanes(
    specs: Sequence[RunSpec], place: Place, store: Store, jobs: int, notify: Callable[[str], None]
) -> Lanes:
    import torch

    from gan_bench import pipeline
    from gan_bench.fitting import fit_lanes

    device, threads = torch.device(place.device), torch.get_num_threads()
    torch.set_num_threads(max(1, threads // jobs))
    try:
        return fit_lanes(
            specs, lambda spec: pipeline.load_images(spec, place, device, notify), device, store, jobs, notify
        )
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


class Registries:
    """The registries, as a matrix asks for them when it expands."""

    def resolve_model(self, name: str, image_size: int | None) -> tuple[str, type[Recipe], int]:
        """Return a model's own name, its recipe class and the image size it will make."""
        from gan_bench.models.model import resolve_model

        own, model, size = resolve_model(name, image_size)
        return own, model.recipe_type, size

    def check_loss(self, name: str) -> str:
        """Return the name of a registered loss."""
        from gan_bench.losses.loss import losses

        losses.get(name)
        return name

    def channels(self, dataset: str) -> int:
        """Return how many channels a data set's images have."""
        from gan_bench.data.dataset import datasets

        return datasets.get(dataset).channels


def _precision(asked: str, device: torch.device) -> Precision:
    if asked == "auto":
        return "tf32" if device.type == "cuda" else "fp32"
    if asked == "tf32" and device.type != "cuda":
        raise InputError("--precision tf32: only GPUs have it; type fp32 or bf16")
    return asked  # type: ignore[return-value]


def _check(
    specs: Sequence[RunSpec], options: Options, device: torch.device, notify: Callable[[str], None]
) -> None:
    """Refuse what would fail later: batch sizes, nets and scores that can't be made."""
    from gan_bench import pipeline
    from gan_bench.execution.executor import executors
    from gan_bench.models.model import build_model
    from gan_bench.training.profile import check_profiler

    executors.get(options.executor)
    if options.profile:
        check_profiler(device)
    assert options.data_root is not None
    first = specs[0]
    data = pipeline.load_data(first.dataset, options.data_root, options.offline, notify)
    pipeline.load_evaluator(data, first.evaluation, device, options.cache_dir, options.offline, notify)
    for spec in specs:
        build_model(spec)
        if spec.batch_size > len(data.train):
            raise InputError(
                f"--batch-size {spec.batch_size}: {spec.dataset} has {len(data.train)} training images; "
                f"choose at most {len(data.train)}"
            )


def _profiled(planned: Plan, notify: Callable[[str], None]) -> frozenset[str]:
    """Return the runs to be profiled, one of each program; say what a user may not expect."""
    if not planned.options.profile:
        return frozenset()
    if not planned.groups:
        notify("--profile: every run is finished, so that there is no step to profile; --fresh trains anew")
    elif min(planned.options.jobs, len(planned.groups)) > 1:
        notify("--profile: several workers share the machine while steps are profiled; --jobs 1 shows them alone")
    return one_of_each(planned.groups)


def _check_times(options: Options) -> None:
    if options.retries < 0:
        raise InputError(f"--retries {options.retries}: type a whole number of 0 or more")
    if not options.checkpoint_every > 0:
        raise InputError(f"--checkpoint-every {options.checkpoint_every:g}: type a time above 0, such as 60s")
    if options.run_timeout is not None and not options.run_timeout > 0:
        raise InputError(f"--run-timeout {options.run_timeout:g}: type a time above 0, such as 2h")


def _check_out(asked: Path) -> None:
    out = asked
    while not out.exists():
        out = out.parent
    if not out.is_dir():
        raise InputError(f"--out {asked}: {out} is a file; name a folder")
    if not os.access(out, os.W_OK):
        # not what was typed is wrong where results lie, but what has become of the disk
        kind = RunError if has_results(asked) else InputError
        raise kind(f"--out {asked}: {out} can't be written to; choose another folder")


def _prepare_evaluation(specs: Sequence[RunSpec], place: object, observer: Observer) -> None:
    """Score real images and noise once, before any training, so that workers find it all at hand."""
    from gan_bench import pipeline

    if not specs:
        return
    assert isinstance(place, pipeline.Place)
    import torch

    first = specs[0]
    data = pipeline.load_data(first.dataset, place.data_root, place.offline, _notices(observer))
    evaluator = pipeline.load_evaluator(
        data,
        first.evaluation,
        torch.device(place.device),
        place.cache_dir,
        place.offline,
        _notices(observer),
    )

    def progress(done: int, total: int) -> None:
        interruption.check()
        observer(Progress(kind="evaluation", text="reference", done=done, total=total))

    evaluator.prepare(progress)


def _has_ended(store: Store, spec: RunSpec, options: Options) -> bool:
    return store.is_finished(spec) or (not options.retry_failed and store.outcome(spec) is not None)


def _notices(observer: Observer) -> Callable[[str], None]:
    return lambda text: observer(Progress(kind="notice", text=text))
