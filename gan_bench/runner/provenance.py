"""Provenance of a run's code: hashes of what is not built in, and stored runs that other code trained."""

from __future__ import annotations

import functools
import hashlib
import inspect
import sys
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from gan_bench.core.errors import InputError
from gan_bench.core.records import StoredRun, plugin_names
from gan_bench.core.registry import PACKAGE, is_built_in
from gan_bench.core.training_spec import TrainingSpec
from gan_bench.data.base import datasets
from gan_bench.losses.base import losses
from gan_bench.models.base import models
from gan_bench.penalties.base import penalty_parts

DIGITS = 12
INSTALLED = tuple(sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib", "purelib", "platlib"))


def code(spec: TrainingSpec) -> dict[str, str]:
    """Return the hash of the code of a spec's model, loss and penalty, of those that are not built in.

    Keys are those of environment.json: `model_code`, `loss_code`, `penalty_code`.
    """
    parts: dict[str, Sequence[type]] = {
        "model_code": [models.get(spec.model)],
        "loss_code": [losses.get(spec.loss)],
        "penalty_code": penalty_parts(spec.penalty),
    }
    hashes = {name: [code_sha256(part) for part in own if not is_built_in(part)] for name, own in parts.items()}
    return {name: "+".join(found)[:100] for name, found in hashes.items() if found}


def has_other_model(spec: TrainingSpec, environment: Mapping[str, Any]) -> bool:
    """Return whether the code of a stored run's model is not the one that is registered now."""
    return environment.get("model_code") != code(spec).get("model_code")


def differences(
    spec: TrainingSpec, environment: Mapping[str, Any], *, dataset_sha256: str, commit: str
) -> list[str]:
    """Return by what a stored run was trained that is other code or other images now, in words."""
    now = code(spec)
    names = {"model": spec.model, "loss": spec.loss, "penalty": spec.penalty}
    found = [
        f"by other code of {kind} {name}"
        for kind, name in names.items()
        if environment.get(f"{kind}_code") != now.get(f"{kind}_code")
    ]
    if environment.get("dataset_sha256", dataset_sha256) != dataset_sha256:
        found.append(f"on other images of data set {spec.dataset}")
    earlier = environment.get("commit")
    if isinstance(earlier, str) and earlier and commit and earlier != commit:
        found.append(f"at commit {earlier[:40]} of gan_bench, while this is {commit}")
    return found


def require_same_model(run: StoredRun, *, dataset: bool = True) -> None:
    """Raise InputError for a run whose model is not registered, or has other code than the one that trained it.

    With `dataset`, also for one whose data set is not registered.
    """
    require_registered(run, dataset=dataset)
    if has_other_model(run.spec, run.environment):
        raise InputError(
            f"{run.record.run_id} was trained by other code of model {run.spec.model!r}, which its weights belong "
            "to: give --plugin with the file as it was then, or train the run again with --fresh"
        )


def require_registered(run: StoredRun, *, dataset: bool = True) -> None:
    """Raise InputError, with the plugin to give, for a run whose model is not registered; or its data set."""
    spec = run.spec
    missing = [f"model {spec.model!r}"] if spec.model not in models else []
    missing += [f"data set {spec.dataset!r}"] if dataset and spec.dataset not in datasets else []
    if not missing:
        return
    files = plugin_names(run.environment)
    what = f"{run.record.run_id} was trained with {' and '.join(missing)}"
    if spec.dataset_sha256 and spec.dataset not in datasets:
        raise InputError(
            f"{run.record.run_id} was trained on a user's images {spec.dataset!r}: "
            f"give --dataset {spec.dataset}=PATH"
        )
    if files:
        given = " ".join(f"--plugin {name}" for name in files)
        raise InputError(f"{what} of a plugin: give {given}, with the path of the file")
    raise InputError(f"{what}, not registered here: give --plugin FILE, or install the package that it is from")


def code_sha256(entry: object) -> str:
    """Return the beginning of the hash of the source files that an object's code is in.

    These are the files of its class, of its base classes, and of what they import, without the standard library,
    other installed packages and gan_bench itself. Of a class defined in a script or notebook, it is the class.
    """
    kind = entry if isinstance(entry, type) else type(entry)
    if kind.__module__ == "__main__":
        try:
            return hashlib.sha256(inspect.getsource(kind).encode()).hexdigest()[:DIGITS]
        except (OSError, TypeError):
            return "unknown"
    return _files_sha256(tuple(base.__module__ for base in kind.__mro__))


@functools.cache
def _files_sha256(modules: tuple[str, ...]) -> str:
    """Return the hash of modules' files and of those they import; cached, since the loaded code stays the same."""
    files: dict[str, Path] = {}
    waiting, own = list(modules), modules[0].partition(".")[0]
    while waiting:
        name = waiting.pop()
        file = _source(name, own)
        if file is not None and name not in files:
            files[name] = file
            waiting += _imported(sys.modules[name])
    digest = hashlib.sha256()
    for _, file in sorted(files.items()):
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:DIGITS] if files else "unknown"


def _source(name: str, own: str) -> Path | None:
    """Return a module's file, unless it belongs to gan_bench or to an installed package other than `own`."""
    file = getattr(sys.modules.get(name), "__file__", None)
    if not file or f"{name}.".startswith(PACKAGE):
        return None
    if name.partition(".")[0] != own and str(file).startswith(INSTALLED):
        return None
    path = Path(file)
    return path if path.is_file() else None


def _imported(module: ModuleType) -> Iterator[str]:
    for value in list(vars(module).values()):
        name = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
        if isinstance(name, str):
            yield name
