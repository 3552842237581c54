"""Labels of trainings: the model, its loss and penalty, and the settings that differ between runs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from gan_bench.core.frozen import sha256_hex
from gan_bench.core.records import StoredRun
from gan_bench.core.training_spec import TrainingSpec

MAX_VARIANT = 160


def labels(runs: Sequence[StoredRun]) -> dict[str, str]:
    """Return the label of each run by run_id: `dcgan28`, `dcgan28/hinge+r1` or `dcgan28 (width=0.5)`."""
    text = variants(runs)
    return {run.record.run_id: label(run.spec, text[run.record.run_id]) for run in runs}


def label(spec: TrainingSpec, variant: str) -> str:
    """Return the label of a training in tables and plots."""
    return f"{spec.label} ({variant})" if variant else spec.label


def variants(runs: Sequence[StoredRun]) -> dict[str, str]:
    """Return by run_id the settings that differ between runs of one model, loss, penalty and data set.

    Rates and seeds apart: `width=0.5, epochs=3`; empty where all settings are equal.
    """
    groups: dict[tuple[str, ...], dict[str, dict[str, Any]]] = defaultdict(dict)
    for run in runs:
        spec = run.spec
        groups[spec.model, spec.loss, spec.penalty, spec.dataset][run.record.run_id] = _conditions(spec)
    texts: dict[str, str] = {}
    for members in groups.values():
        keys = sorted(set().union(*members.values()))
        differing = [key for key in keys if len({str(values.get(key)) for values in members.values()}) > 1]
        for run_id, values in members.items():
            text = ", ".join(f"{key}={values[key]}" for key in differing if values.get(key) is not None)
            texts[run_id] = _short(text)
    return texts


def _short(text: str) -> str:
    """Return a variant that fits a table; a long one is cut off, and stays distinct by its hash."""
    return text if len(text) <= MAX_VARIANT else f"{text[:MAX_VARIANT]}… {sha256_hex(text)[:6]}"


def _conditions(spec: TrainingSpec) -> dict[str, Any]:
    own = {key: getattr(spec, key) for key in ("image_size", "batch_size", "epochs", "steps")}
    return {**own, "arithmetic": spec.precision, **spec.settings}  # `precision` is the name of a metric
