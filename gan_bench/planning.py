"""Planning a matrix: what it comes to, and all that is refused before anything is started or written."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from gan_bench.errors import InputError, RunError
from gan_bench.matrix import Group, Matrix, group_runs, one_of_each
from gan_bench.registry import load_plugins
from gan_bench.spec import Precision, Recipe, RunSpec
from gan_bench.store.root_folder import has_results
from gan_bench.store.store import Store

if TYPE_CHECKING:
    import torch

    from gan_bench.place import Place

DEFAULT_OUT = Path("results/local")


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
    place: Place
    options: Options

    @property
    def left(self) -> list[RunSpec]:
        """The runs to train."""
        return [spec for group in self.groups for spec in group.specs]


def plan(matrix: Matrix, options: Options, notify: Callable[[str], None] = lambda text: None) -> Plan:
    """Return what `run` would do, having refused (InputError) everything that can't work; nothing is written.

    A data set that is missing is downloaded, for without it nothing can be checked.
    """
    # here, not above: to import this file must stay cheap, and these load torch
    from gan_bench import environment
    from gan_bench.data.dataset import default_root
    from gan_bench.place import Place

    load_plugins(options.plugins)
    device = environment.find_device(options.device)
    if options.deterministic and device.type == "cuda":
        environment.be_deterministic()
    preset = options.preset or ("quick" if device.type == "cpu" else "standard")
    matrix = matrix.with_preset(preset)
    _check_options(options)
    place = Place(
        device=str(device),
        data_root=options.data_root or default_root(),
        cache_dir=options.cache_dir,
        offline=options.offline,
        dataset_requested=matrix.dataset,
        plugins=tuple(file.resolve() for file in options.plugins),
        checkpoint_every=options.checkpoint_every,
        deterministic=options.deterministic,
    )
    specs = tuple(_resolved(matrix, place, device, notify).expand(Registries()))
    _check(specs, options, place, device, notify)
    store = Store.open(options.out, create=False, notify=notify) if has_results(options.out) else None
    finished = tuple(spec for spec in specs if store and not options.fresh and _has_ended(store, spec, options))
    groups = tuple(group_runs([spec for spec in specs if spec not in finished], options.lanes or 1))
    place = replace(place, profiled=_profiled(groups, options, notify))
    return Plan(specs, finished, groups, preset, device, place, options)


def _resolved(matrix: Matrix, place: Place, device: torch.device, notify: Callable[[str], None]) -> Matrix:
    """Return the matrix with what the device and the data at hand decide."""
    from gan_bench.data import dataset as data
    from gan_bench.metrics.extractors.find import default_extractor
    from gan_bench.metrics.metric import resolve_metrics

    metrics = resolve_metrics(matrix.metrics) if matrix.metrics else None
    precision = _precision(matrix.precision, device)
    if matrix.dataset == "auto":  # what is misspelt is said before anything is downloaded
        matrix.model_copy(update={"dataset": data.FALLBACK, "precision": precision}).expand(Registries())
    chosen = data.choose(matrix.dataset, place.data_root, offline=place.offline, notify=notify)
    named = (default_extractor(chosen) if name == "auto" else name for name in matrix.extractors or ("auto",))
    extractors = tuple(dict.fromkeys(named))
    update = {"dataset": chosen, "precision": precision, "extractors": extractors, "metrics": metrics}
    return matrix.model_copy(update=update)


def _precision(asked: str, device: torch.device) -> Precision:
    if asked == "auto":
        return "tf32" if device.type == "cuda" else "fp32"
    if asked == "tf32" and device.type != "cuda":
        raise InputError("--precision tf32: only GPUs have it; type fp32 or bf16")
    return asked  # type: ignore[return-value]


def _check_options(options: Options) -> None:
    if options.retries < 0:
        raise InputError(f"--retries {options.retries}: type a whole number of 0 or more")
    if not options.checkpoint_every > 0:
        raise InputError(f"--checkpoint-every {options.checkpoint_every:g}: type a time above 0, such as 60s")
    if options.run_timeout is not None and not options.run_timeout > 0:
        raise InputError(f"--run-timeout {options.run_timeout:g}: type a time above 0, such as 2h")
    for name, asked in (("jobs", options.jobs), ("lanes", options.lanes)):
        if asked is not None and asked < 1:
            raise InputError(f"--{name} {asked}: type a whole number of 1 or more")
    _check_out(options.out)


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


def _check(
    specs: Sequence[RunSpec], options: Options, place: Place, device: torch.device, notify: Callable[[str], None]
) -> None:
    """Refuse what would fail later: batch sizes, nets and scores that can't be made."""
    from gan_bench.execution.executor import executors
    from gan_bench.models.model import build_model
    from gan_bench.training.profile import check_profiler

    executors.get(options.executor)
    if options.profile:
        check_profiler(device)
    first = specs[0]
    data = place.data(first.dataset, notify)
    place.evaluator(data, first.evaluation, notify)
    for spec in specs:
        build_model(spec)
        if spec.batch_size > len(data.train):
            raise InputError(
                f"--batch-size {spec.batch_size}: {spec.dataset} has {len(data.train)} training images; "
                f"choose at most {len(data.train)}"
            )


def _has_ended(store: Store, spec: RunSpec, options: Options) -> bool:
    return store.is_finished(spec) or (not options.retry_failed and store.outcome(spec) is not None)


def _profiled(groups: Sequence[Group], options: Options, notify: Callable[[str], None]) -> frozenset[str]:
    """Return the runs to be profiled, one of each program; say what a user may not expect."""
    if not options.profile:
        return frozenset()
    if not groups:
        notify("--profile: every run is finished, so that there is no step to profile; --fresh trains anew")
    elif min(options.jobs, len(groups)) > 1:
        notify("--profile: several workers share the machine while steps are profiled; --jobs 1 shows them alone")
    return one_of_each(groups)


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
