"""Labels of trainings: the model, its loss and penalty, and the settings that differ between runs."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gan_bench.core.frozen import sha256_hex
from gan_bench.core.records import StoredRun
from gan_bench.core.training_spec import TrainingSpec

MAX_VARIANT = 160
HEX = re.compile("[0-9a-f]{64}")


def labels(runs: Sequence[StoredRun]) -> dict[str, str]:
    """Return the label of each run by run_id: `dcgan28`, `dcgan28/hinge+r1` or `dcgan28 (width=0.5)`."""
    text = variants(runs)
    return {run.record.run_id: label(run.spec, text[run.record.run_id]) for run in runs}


def label(spec: TrainingSpec, variant: str) -> str:
    """Return the label of a training in tables and plots."""
    return f"{spec.label} ({variant})" if variant else spec.label


def variants(runs: Sequence[StoredRun]) -> dict[str, str]:
    """Return by run_id the settings that differ between runs of one model, loss, penalty and data set.

    Rates and seeds apart: `width=0.5, epochs=3`; empty where all settings are equal. Runs of one plugin with other
    code, or of one data set with other images, differ by a hash: `code=1a2b3c`.
    """
    groups: dict[tuple[str, ...], dict[str, dict[str, Any]]] = defaultdict(dict)
    for run in runs:
        spec = run.spec
        key = (spec.model, spec.loss, spec.penalty, spec.dataset)
        groups[key][run.record.run_id] = {**_conditions(spec), **_provenance(run.environment)}
    texts: dict[str, str] = {}
    for members in groups.values():
        keys = sorted(set().union(*members.values()))
        differing = [key for key in keys if _differs(key, members.values())]
        for run_id, values in members.items():
            text = ", ".join(f"{key}={values[key]}" for key in differing if values.get(key) is not None)
            texts[run_id] = _short(text)
    return texts


def _differs(key: str, members: Iterable[Mapping[str, Any]]) -> bool:
    found = {str(values.get(key)) for values in members if key != "images" or values.get(key) is not None}
    return len(found) > 1  # images that were not recorded are taken for the same


def _provenance(environment: Mapping[str, Any]) -> dict[str, Any]:
    """Return what makes runs of equal specs different trainings: their plugins' code, and their images."""
    codes = [str(environment.get(f"{kind}_code", "")) for kind in ("model", "loss", "penalty")]
    images = environment.get("dataset_sha256")
    return {
        "code": sha256_hex(" ".join(codes))[:6] if any(codes) else None,
        "images": images[:6] if isinstance(images, str) and HEX.fullmatch(images) else None,
    }


def _short(text: str) -> str:
    """Return a variant that fits a table; a long one is cut off, and stays distinct by its hash."""
    return text if len(text) <= MAX_VARIANT else f"{text[:MAX_VARIANT]}… {sha256_hex(text)[:6]}"


def _conditions(spec: TrainingSpec) -> dict[str, Any]:
    own = {key: getattr(spec, key) for key in ("image_size", "batch_size", "epochs", "steps")}
    return {**own, "arithmetic": spec.precision, **spec.settings}  # `precision` is the name of a metric
