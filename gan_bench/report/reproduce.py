"""The commands that train the reported runs again."""

from __future__ import annotations

import json
import shlex
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from gan_bench.record import StoredRun
from gan_bench.report.frame import rate_text
from gan_bench.spec import RunSpec

MAX_COMMANDS = 20


def commands(runs: Sequence[StoredRun]) -> list[str]:
    """Return the fewest `gan-bench run` commands that ask for these runs, at most 20."""
    seeds: dict[tuple[str, str, str], set[int]] = defaultdict(set)
    for run in runs:
        spec = run.spec
        seeds[_rest(spec), spec.model, exact_rates(spec.lr_g, spec.lr_d)].add(spec.seed)
    rates: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for (rest, model, rate), found in sorted(seeds.items()):
        rates[rest, model, seed_text(found)].append(rate)
    models: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for (rest, model, seed), rate_list in rates.items():
        models[rest, ",".join(rate_list), seed].append(model)
    lines = [_command(json.loads(rest), names, rate, seed) for (rest, rate, seed), names in models.items()]
    return lines[:MAX_COMMANDS]


def _rest(spec: RunSpec) -> str:
    return json.dumps(spec.model_dump(mode="json", exclude={"model", "seed", "lr_g", "lr_d"}), sort_keys=True)


def _command(rest: dict[str, Any], models: Iterable[str], rates: str, seeds: str) -> str:
    length = f"--steps {rest['steps']}" if rest["steps"] else f"--epochs {rest['epochs']}"
    evaluation = rest["evaluation"]
    parts = [
        f"gan-bench run --models {','.join(models)} --losses {rest['loss']}",
        f"--dataset {rest['dataset']} --image-size {rest['image_size']} --seeds {seeds} --lrs {rates}",
        f"{length} --batch-size {rest['batch_size']} --precision {rest['precision']}",
        f"--metrics {','.join(evaluation['metrics'])} --extractors {','.join(evaluation['extractors'])}",
        f"--eval-samples {evaluation['samples']}"
        + (f" --eval-every {evaluation['every']}" if evaluation["every"] else ""),
        " ".join(f"--set {shlex.quote(f'{key}={_typed(value)}')}" for key, value in rest["settings"].items()),
    ]
    return " \\\n    ".join(part for part in parts if part)


def _typed(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def exact_rates(lr_g: float, lr_d: float) -> str:
    """Return learning rates for `--lrs`: as people type them where that is exact, else with every digit.

    A rate that is off in its seventh digit is another run.
    """
    texts = [rate_text(rate, rate) for rate in (lr_g, lr_d)]
    exact = [text if float(text) == rate else repr(rate) for text, rate in zip(texts, (lr_g, lr_d), strict=True)]
    return exact[0] if lr_g == lr_d else ":".join(exact)


def seed_text(seeds: Iterable[int]) -> str:
    """Return seeds as people type them: 0-2,7."""
    ranges: list[list[int]] = []
    for seed in sorted(seeds):
        if ranges and seed == ranges[-1][1] + 1:
            ranges[-1][1] = seed
        else:
            ranges.append([seed, seed])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in ranges)
