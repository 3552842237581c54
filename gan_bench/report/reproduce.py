"""Commands that reproduce the reported runs."""

from __future__ import annotations

import json
import shlex
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

from gan_bench.core.frozen import canonical_json
from gan_bench.core.numbers import exact_rates
from gan_bench.core.option_fields import Rates
from gan_bench.core.records import Score, StoredRun, plugin_names
from gan_bench.core.training_spec import TrainingSpec

MAX_COMMANDS = 20
BATCH_NORM = ("running", "batch", "standing")
METRICS = {
    "inception_score_mean": "is",
    "inception_score_std": "is",
    "precision": "prc",
    "recall": "prc",
    "density": "dc",
    "coverage": "dc",
    "duplicate_share": "copies",
    "pixel_copy_share": "copies",
    "feature_copy_share": "feature-copies",
    "modes_covered": "modes",
    "modes_kl": "modes",
    "class_accuracy": "class-accuracy",
    "class_fid": "class-fid",
}
"""Metrics whose columns are not named after them."""

Evaluation: TypeAlias = tuple[int, str, str]
"""Sample count, reference split and BatchNorm statistics of a protocol."""


def commands(runs: Sequence[StoredRun]) -> list[str]:
    """Return the fewest `gan-bench run` commands that train and evaluate these runs, at most 20.

    A further command for the same trainings only evaluates them under another protocol.
    """
    seeds: dict[tuple[str, str, Rates], set[int]] = defaultdict(set)
    scores: dict[str, list[Score]] = defaultdict(list)
    plugins: dict[str, dict[str, None]] = defaultdict(dict)
    for run in runs:
        spec = run.spec
        plugins[_rest(spec)] |= dict.fromkeys(plugin_names(run.environment))
        seeds[_rest(spec), spec.model, (spec.lr_g, spec.lr_d)].add(spec.seed)
        scores[_rest(spec)].extend(run.scores)
    rates: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for (rest, model, rate), found in sorted(seeds.items()):
        rates[rest, model, seed_text(found)].append(exact_rates(*rate))
    models: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for (rest, model, seed), rate_list in rates.items():
        models[rest, ",".join(rate_list), seed].append(model)
    lines = [
        _command(json.loads(rest), names, rate, seed, [*evaluation, *_plugin_options(plugins[rest])])
        for (rest, rate, seed), names in models.items()
        for evaluation in _evaluations(scores[rest])
    ]
    return lines[:MAX_COMMANDS]


def _rest(spec: TrainingSpec) -> str:
    return canonical_json(spec.model_dump(mode="json", exclude={"model", "seed", "lr_g", "lr_d"}))


def _command(rest: dict[str, Any], models: Iterable[str], rates: str, seeds: str, evaluation: list[str]) -> str:
    length = f"--steps {rest['steps']}" if rest["steps"] else f"--epochs {rest['epochs']}"
    own = "=PATH" if rest["dataset_sha256"] else ""
    parts = [
        f"gan-bench run --models {','.join(models)} --losses {rest['loss']} --penalties {rest['penalty']}",
        f"--dataset {rest['dataset']}{own} --image-size {rest['image_size']} --seeds {seeds} --lrs {rates}",
        f"{length} --batch-size {rest['batch_size']} --precision {rest['precision']}",
        *evaluation,
        " ".join(f"--set {shlex.quote(f'{key}={_typed(value)}')}" for key, value in rest["settings"].items()),
    ]
    return " \\\n    ".join(part for part in parts if part)


def _plugin_options(names: Iterable[str]) -> list[str]:
    """Return the options of the plugin files that the runs were given, by their names without folders."""
    options = " ".join(f"--plugin {shlex.quote(name)}" for name in names)
    return [options] if options else []


def _evaluations(scores: Sequence[Score]) -> list[list[str]]:
    """Return the evaluation options of each protocol, extractors combined; one empty list without scores."""
    found: dict[Evaluation, list[Score]] = defaultdict(list)
    for score in scores:
        protocol = score.protocol
        found[protocol.n_fake, protocol.reference_split, protocol.batch_norm.partition(" ")[0]].append(score)
    return [_evaluation_options(key, own) for key, own in sorted(found.items())] or [[]]


def _evaluation_options(evaluation: Evaluation, scores: Sequence[Score]) -> list[str]:
    samples, split, batch_norm = evaluation
    metrics = dict.fromkeys(_metric(score.metric) for score in scores)
    extractors = sorted({score.protocol.extractor for score in scores})
    draws = max(score.draw for score in scores) + 1
    epochs = {score.epoch for score in scores if score.checkpoint == "last"}
    every = f" --eval-every {min(epochs)}" if len(epochs) > 1 else ""
    statistics = f" --batch-norm {batch_norm}" if batch_norm in BATCH_NORM else ""
    return [
        f"--metrics {','.join(metrics)} --extractors {','.join(extractors)}",
        f"--eval-samples {samples} --eval-draws {draws} --reference-split {split}{statistics}{every}",
    ]


def _metric(column: str) -> str:
    return METRICS.get(column, column.removesuffix("_mean").removesuffix("_std"))


def _typed(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def seed_text(seeds: Iterable[int]) -> str:
    """Return seeds as `--seeds` takes them: 0-2,7."""
    ranges: list[list[int]] = []
    for seed in sorted(seeds):
        if ranges and seed == ranges[-1][1] + 1:
            ranges[-1][1] = seed
        else:
            ranges.append([seed, seed])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in ranges)
