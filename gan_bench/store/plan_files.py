"""Plans of a results folder: which runs were asked for and how they are evaluated, for workers that join later."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from gan_bench.core.decoding import parse_json
from gan_bench.core.errors import InputError, ReadError
from gan_bench.core.evaluation_spec import EvaluationSpec
from gan_bench.core.files import inside, json_bytes, write_bytes
from gan_bench.core.frozen import Frozen, Line, Name, Scalar, Text, canonical_json, describe_invalid, sha256_hex
from gan_bench.core.limits import MAX_PLAN_BYTES, MAX_PLANS, MAX_RUNS
from gan_bench.core.reading import entries, read_bytes
from gan_bench.core.records import SCHEMA_VERSION

PLANS = "plans"
KEPT = ("eval_every", "retries", "run_timeout", "checkpoint_every", "deterministic", "cpu_kernels")
"""Options of the command that workers follow too; devices, paths, lanes and processes are their own."""


class PlanFile(Frozen):
    """What one `gan-bench run` asked for."""

    schema_version: int = SCHEMA_VERSION
    run_ids: Annotated[tuple[Name, ...], Field(max_length=MAX_RUNS)]
    evaluation: EvaluationSpec
    options: dict[str, Scalar | None]
    """Values of the options in KEPT."""
    dataset_requested: Text = ""
    plugins: Annotated[tuple[Line, ...], Field(max_length=100)] = ()
    """Names of the plugin files, without their folders: a folder of results names no code to execute."""

    @property
    def file_name(self) -> str:
        """The name of its file: equal commands have one."""
        return f"{sha256_hex(canonical_json(self.model_dump(mode='json')))[:16]}.json"


def write_plan(root: Path, plan: PlanFile) -> Path:
    """Write a plan into the results folder; raise RunError where it can't be written."""
    folder = root / PLANS
    folder.mkdir(exist_ok=True)
    path = folder / plan.file_name
    write_bytes(path, json_bytes(plan.model_dump(mode="json")))
    return path


def read_plans(root: Path) -> Sequence[PlanFile]:
    """Return the plans of a results folder, the oldest first; raise ReadError for one that can't be read."""
    folder = root / PLANS
    if not folder.is_dir() or not inside(folder, root):
        return []
    found = [entry for entry in entries(folder) if entry.name.endswith(".json")]
    if len(found) > MAX_PLANS:
        raise ReadError(f"{folder}: has more than {MAX_PLANS:,} plans")
    found.sort(key=lambda entry: (entry.stat(follow_symlinks=False).st_mtime_ns, entry.name))
    return [_read(folder / entry.name, root) for entry in found]


def _read(path: Path, root: Path) -> PlanFile:
    values = parse_json(read_bytes(path, max_bytes=MAX_PLAN_BYTES, root=root), str(path))
    try:
        return PlanFile.model_validate_json(json_bytes(values))
    except (ValidationError, InputError) as error:
        fault = describe_invalid(error) if isinstance(error, ValidationError) else str(error)
        raise ReadError(f"{path}: {fault}") from None
