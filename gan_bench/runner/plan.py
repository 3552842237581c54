"""Plan of a matrix: its runs, what is missing of each, and validation before anything is started or written."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from gan_bench.core.errors import InputError, RunError
from gan_bench.core.events import Notice, OnEvent, ignore_events
from gan_bench.core.frozen import Precision
from gan_bench.core.image_source import parse_source
from gan_bench.core.matrix import Group, Matrix, first_of_each_program, group_runs
from gan_bench.core.options import Options
from gan_bench.core.registry import load_plugins
from gan_bench.core.training_spec import NOTABLE_DROP, TrainingSpec
from gan_bench.store.replacement import Replacement
from gan_bench.store.results_folder import has_results
from gan_bench.store.store import Store

if TYPE_CHECKING:
    import torch

    from gan_bench.runner.context import RunContext

ALL_MODELS = "all"


@dataclass(frozen=True)
class Plan:
    """The runs of a matrix: those that are finished, those to train, and those to evaluate only."""

    specs: tuple[TrainingSpec, ...]
    finished: tuple[TrainingSpec, ...]
    """Trained and evaluated as asked; with `retry_failed=False` also those that failed earlier."""
    groups: tuple[Group, ...]
    """The groups to train, each also evaluated afterwards."""
    to_evaluate: tuple[TrainingSpec, ...]
    """Trained runs that lack scores."""
    preset: str
    context: RunContext
    preset_options: str = ""
    """What the preset sets because the user did not, as it would be typed."""

    @property
    def to_train(self) -> list[TrainingSpec]:
        """The runs to train."""
        return [spec for group in self.groups for spec in group.specs]

    @property
    def options(self) -> Options:
        """The resolved options."""
        return self.context.options

    @property
    def device(self) -> torch.device:
        """The device to train on."""
        return self.context.device


def plan(matrix: Matrix, options: Options, on_event: OnEvent = ignore_events) -> Plan:
    """Return what `run` would do, after raising InputError for everything that can't work; nothing is written.

    A missing data set is downloaded, because nothing can be validated without it.
    """
    # imported here to keep the import of this module cheap: these load torch
    from gan_bench.devices import numerics, select
    from gan_bench.runner.catalogue import Registries
    from gan_bench.runner.executors.base import executors
    from gan_bench.runner.preflight import check_plugins

    load_plugins(options.plugins)
    executors.get(options.executor)
    _check_out(options.out)
    device = select.find_device(options.device)
    if options.deterministic and device.type == "cuda":
        numerics.use_deterministic_algorithms()
    preset = options.preset or ("quick" if device.type == "cpu" else "standard")
    preset_options = matrix.preset_options(preset)
    matrix = matrix.with_preset(preset)
    source = parse_source(matrix.dataset, matrix.image_size)
    if source:
        options = options.model_copy(update={"image_sources": (*options.image_sources, source)})
    context = make_context(options, device, f"{source.name}={source.path.name}" if source else matrix.dataset)
    matrix = _resolved(matrix, context, on_event)
    context = replace(context, evaluation=matrix.evaluation())
    specs = tuple(matrix.expand(Registries()))
    planned = plan_runs(specs, context, on_event)
    check_plugins(planned.to_train, context, on_event)
    profiled = _profiled(planned.groups, options, on_event)
    return replace(
        planned,
        preset=preset,
        preset_options=preset_options,
        context=replace(context, profiled=profiled),
    )


def plan_runs(specs: Sequence[TrainingSpec], context: RunContext, on_event: OnEvent = ignore_events) -> Plan:
    """Return what is missing of some runs; raise InputError for what would fail later."""
    _check(specs, context, on_event)
    finished, to_train, to_evaluate = _split(specs, context, on_event)
    groups = tuple(group_runs(to_train, context.options.lanes or 1))
    return Plan(tuple(specs), finished, groups, to_evaluate, "", context)


def make_context(options: Options, device: torch.device, dataset: str) -> RunContext:
    """Return a context with resolved options: the device with its number, and the data root."""
    from gan_bench.core.evaluation_spec import EvaluationSpec
    from gan_bench.data.base import default_root
    from gan_bench.runner.context import RunContext

    resolved = {
        "device": str(device),
        "data_root": options.data_root or default_root(),
    }
    return RunContext(options.model_copy(update=resolved), EvaluationSpec(), dataset)


def _resolved(matrix: Matrix, context: RunContext, on_event: OnEvent) -> Matrix:
    """Return the matrix with the values that the device and the available data determine."""
    from gan_bench.data import base as data
    from gan_bench.data.user_images.dataset import register_source
    from gan_bench.metrics.base import resolve_metrics
    from gan_bench.metrics.extractors.lookup import default_extractor
    from gan_bench.models.base import models_of_size
    from gan_bench.runner.catalogue import Registries

    asked = matrix.models
    if ALL_MODELS in asked:
        matrix = _with_all_models(matrix, models_of_size(matrix.image_size))
    metrics = resolve_metrics(matrix.metrics) if matrix.metrics else None
    precision = _precision(matrix.precision, context.device)
    if matrix.dataset == "auto" or context.options.image_sources:
        # report misspelt names before anything is downloaded or decoded
        matrix.model_copy(update={"dataset": data.FALLBACK, "precision": precision}).expand(Registries())
    options = context.options
    for each in options.image_sources:
        register_source(each, options, on_event)
    named = parse_source(matrix.dataset)
    dataset = named.name if named else matrix.dataset
    chosen = data.resolve_dataset(dataset, context.data_root, offline=options.offline, on_event=on_event)
    if ALL_MODELS in asked:  # of the data set that was found
        fitting = models_of_size(matrix.image_size, labels=data.datasets.get(chosen).n_classes > 0)
        matrix = _with_all_models(matrix.model_copy(update={"models": asked}), fitting)
    scorers = (default_extractor(chosen) if name == "auto" else name for name in matrix.extractors or ("auto",))
    extractors = tuple(dict.fromkeys(scorers))
    update = {"dataset": chosen, "precision": precision, "extractors": extractors, "metrics": metrics}
    return matrix.model_copy(update=update)


def _with_all_models(matrix: Matrix, fitting: Sequence[str]) -> Matrix:
    """Return the matrix with the models that `all` stands for, after those that are named."""
    named = [name for name in matrix.models if name != ALL_MODELS]
    return matrix.model_copy(update={"models": tuple(dict.fromkeys([*named, *fitting]))})


def _precision(asked: str, device: torch.device) -> Precision:
    if asked == "auto":
        return "tf32" if device.type == "cuda" else "fp32"
    if asked == "tf32" and device.type != "cuda":
        raise InputError("--precision tf32: only GPUs have it; type fp32 or bf16")
    return asked  # type: ignore[return-value]


def _check_out(asked: Path) -> None:
    out = asked
    while not out.exists():
        out = out.parent
    if not out.is_dir():
        raise InputError(f"--out {asked}: {out} is a file; name a folder")
    if not os.access(out, os.W_OK):
        # a folder with results was writable before: the disk has changed, not the input
        kind = RunError if has_results(asked) else InputError
        raise kind(f"--out {asked}: {out} is not writable; choose another folder")


def _check(specs: Sequence[TrainingSpec], context: RunContext, on_event: OnEvent) -> None:
    """Raise InputError for batch sizes, networks and scores that would fail later."""
    from gan_bench.losses.base import build_loss
    from gan_bench.models.base import build_model
    from gan_bench.penalties.base import build_penalty
    from gan_bench.training.profile import check_profiler

    if context.options.profile:
        check_profiler(context.device)
    for name in dict.fromkeys(spec.dataset for spec in specs):
        context.evaluator(name, on_event)
    for spec in specs:
        build_model(spec)
        build_loss(spec)
        build_penalty(spec)
        spec.steps_per_epoch(len(context.data(spec.dataset, on_event).train))
    _notice_dropped(specs, context, on_event)


def _notice_dropped(specs: Sequence[TrainingSpec], context: RunContext, on_event: OnEvent) -> None:
    """Emit a notice for each batch size with which an epoch leaves out a notable part of the training images."""
    for spec in {(spec.dataset, spec.batch_size, spec.images_per_step): spec for spec in specs}.values():
        images = len(context.data(spec.dataset, on_event).train)
        dropped, size, notable = spec.dropped_images(images), spec.batch_size, NOTABLE_DROP * images
        if dropped > notable:
            batches = spec.images_per_step // size
            fitting = next((n for n in range(size - 1, 0, -1) if images % (n * batches) <= notable), None)
            hint = f"; --batch-size {fitting} leaves out {images % (fitting * batches):,}" if fitting else ""
            on_event(
                Notice(
                    f"--batch-size {size}: each epoch leaves out {dropped:,} of the {images:,} training images of "
                    f"{spec.dataset} ({dropped / images:.0%}, others each time), which fill no step{hint}"
                )
            )


def _split(
    specs: Sequence[TrainingSpec], context: RunContext, on_event: OnEvent
) -> tuple[tuple[TrainingSpec, ...], list[TrainingSpec], tuple[TrainingSpec, ...]]:
    """Return the runs that are finished, those to train and those to evaluate only."""
    from gan_bench.runner import environment, provenance
    from gan_bench.runner.evaluate import is_evaluated

    options = context.options
    replacement = Replacement(options.out, specs, on_event)
    if options.fresh:
        replaced = [spec for spec in specs if replacement.is_started and not replacement.is_pending(spec)]
        return tuple(replaced), [spec for spec in specs if spec not in replaced], ()
    if replacement.is_started:
        on_event(Notice(f"--fresh was interrupted: add it to replace the rest, or remove {replacement.folder}"))
    if not has_results(options.out):
        return (), list(specs), ()
    store = Store.open(options.out, create=False, on_event=on_event)
    finished: list[TrainingSpec] = []
    to_train: list[TrainingSpec] = []
    to_evaluate: list[TrainingSpec] = []
    changes: Counter[str] = Counter()
    commit = environment.commit()
    for spec in specs:
        record = store.outcome(spec)
        if record is None or (record.status == "failed" and options.retry_failed):
            to_train.append(spec)
            continue
        earlier, data = store.environment(spec), context.data(spec.dataset, on_event)
        changes.update(provenance.differences(spec, earlier, dataset_sha256=data.sha256, commit=commit))
        if (
            (record.failure and not options.retry_failed)
            or provenance.has_other_model(spec, earlier)
            or is_evaluated(store, record, spec, context.evaluator(spec.dataset, on_event))
        ):
            finished.append(spec)
        else:
            to_evaluate.append(spec)
    _notice_changes(changes, on_event)
    if options.eval_every:
        _notice_missing_intermediate(store, [*finished, *to_evaluate], options.eval_every, on_event)
    return tuple(finished), to_train, tuple(to_evaluate)


def _notice_changes(changes: Counter[str], on_event: OnEvent) -> None:
    """Emit a notice for each way in which finished runs were trained by other code than there is now."""
    for change, count in changes.items():
        runs = "1 finished run was" if count == 1 else f"{count:,} finished runs were"
        apart = "" if change.startswith("at commit") else "; reports keep other code and images apart"
        on_event(Notice(f"{runs} trained {change}{apart}; --fresh trains again"))


def _notice_missing_intermediate(
    store: Store, trained: Sequence[TrainingSpec], eval_every: int, on_event: OnEvent
) -> None:
    """Emit a notice for trained runs without intermediate evaluations, whose weights were not kept."""
    count = sum(_lacks_intermediate(store, spec, eval_every) for spec in trained)
    if count:
        runs = "1 trained run" if count == 1 else f"{count} trained runs"
        on_event(
            Notice(f"--eval-every: the intermediate weights of {runs} were not kept; --fresh trains again with it")
        )


def _lacks_intermediate(store: Store, spec: TrainingSpec, eval_every: int) -> bool:
    record = store.outcome(spec)
    if record is None or record.status != "done" or record.epochs <= eval_every:
        return False
    return all(score.step == record.steps for score in store.scores(spec))


def _profiled(groups: Sequence[Group], options: Options, on_event: OnEvent) -> frozenset[str]:
    """Return the runs to profile, one of each program, with notices about unexpected cases."""
    if not options.profile:
        return frozenset()
    if not groups:
        on_event(Notice("--profile: every run is trained, so there is no step to profile; --fresh trains again"))
    elif min(options.jobs, len(groups)) > 1:
        on_event(
            Notice("--profile: worker processes share the machine while profiling; use --jobs 1 for clean times")
        )
    return first_of_each_program(groups)
