"""A run's folder: the names of its files, and how each is read and validated."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from gan_bench.core.errors import RunError, printable
from gan_bench.core.files import inside
from gan_bench.core.frozen import Frozen
from gan_bench.core.images import epoch_grids, grid_name
from gan_bench.core.records import SCHEMA_VERSION, EpochRecord, RunRecord, Score, StoredRun
from gan_bench.core.registry import check_name
from gan_bench.core.training_spec import TrainingSpec

Model = TypeVar("Model", bound=Frozen)

SPEC = "spec.json"
ENVIRONMENT = "environment.json"
EPOCHS = "epochs.csv"
SCORES = "scores.json"
RECORD = "record.json"
SAMPLES = "samples"
PROGRESS_GIF = "progress.gif"
REAL_PNG = "real.png"
TRACE = "trace.json.gz"
CHECKPOINT = "checkpoint"
BEST = "best"
ATTEMPT = "attempt"
EPOCH_COLUMNS = tuple(EpochRecord.model_fields)


def other_schema(version: int) -> str:
    """Return what to do about results of another schema version."""
    if version > SCHEMA_VERSION:
        return f"written by a newer gan_bench (schema {version}); update gan_bench"
    return (
        f"written by an earlier gan_bench (schema {version}; this one reads {SCHEMA_VERSION}); "
        "choose another --out, or use the version that wrote it"
    )


@dataclass(frozen=True)
class RunFolder:
    """The folder `runs/<run_id>`; `runs` is a resolved path. Unreadable files raise RunError with their path."""

    runs: Path
    run_id: str

    def __post_init__(self) -> None:
        check_name("run", self.run_id)
        self._inside(self.path)

    @property
    def path(self) -> Path:
        """The folder, which need not exist."""
        return self.runs / self.run_id

    @property
    def samples(self) -> Path:
        """The folder of the sample grids."""
        return self._inside(self.path / SAMPLES)

    def file(self, name: str) -> Path:
        """Return the path of a file of the run; raise RunError for a link that leads out of the results folder."""
        return self._inside(self.path / name)

    def has(self, name: str) -> bool:
        """Return whether the run has a file called `name`."""
        return (self.path / name).is_file()

    def grid(self, epoch: int) -> Path:
        """Return the path of an epoch's grid."""
        return self.samples / grid_name(epoch)

    def grids(self) -> dict[int, Path]:
        """Return the existing grids by epoch, in order."""
        return {epoch: self._inside(path) for epoch, path in epoch_grids(self.samples).items()}

    def spec(self) -> TrainingSpec:
        """Read spec.json; raise RunError if its run id is not the folder's name."""
        spec = self.any_spec()
        if spec.run_id != self.run_id:
            raise RunError(f"{self.path / SPEC}: describes {spec.run_id}, not the run the folder is named after")
        return spec

    def any_spec(self) -> TrainingSpec:
        """Read spec.json, whichever run it describes."""
        return self._model(TrainingSpec, self._json(SPEC), SPEC)

    def record(self) -> RunRecord | None:
        """Read record.json; None if the last attempt has no outcome."""
        record = self.last_record()
        return record if record and record.attempts >= self.attempt() else None

    def attempt(self) -> int:
        """Return the number of the last attempt, from environment.json; 0 where there is none."""
        number = self.environment().get(ATTEMPT)
        return number if isinstance(number, int) else 0

    def last_record(self) -> RunRecord | None:
        """Read record.json of any attempt; None if there is none."""
        if not self.has(RECORD):
            return None
        values = self._json(RECORD)
        version = values.get("schema_version", 1) if isinstance(values, dict) else 1
        if isinstance(version, int) and version != SCHEMA_VERSION:
            raise RunError(f"{self.path / RECORD}: {other_schema(version)}")
        record = self._model(RunRecord, values, RECORD)
        if record.run_id != self.run_id:
            raise RunError(f"{self.path / RECORD}: is the record of another run, {printable(record.run_id)}")
        return record

    def epochs(self) -> list[EpochRecord]:
        """Read epochs.csv; no file is no epochs. Unknown columns are ignored."""
        if not self.has(EPOCHS):
            return []
        lines = csv.DictReader(io.StringIO(self._text(EPOCHS)), strict=True)
        try:
            if not set(EPOCH_COLUMNS) <= set(lines.fieldnames or ()):
                raise RunError(f"{self.path / EPOCHS}: its first line does not name every column")
            return [EpochRecord.model_validate({name: line[name] for name in EPOCH_COLUMNS}) for line in lines]
        except (ValidationError, csv.Error) as error:
            raise RunError(f"{self.path / EPOCHS}: {_fault(error)}") from None

    def scores(self) -> list[Score]:
        """Read scores.json; no file is no scores."""
        if not self.has(SCORES):
            return []
        values = self._json(SCORES)
        if not isinstance(values, list):
            raise RunError(f"{self.path / SCORES}: is not a list")
        return [self._model(Score, value, SCORES) for value in values]

    def environment(self) -> Mapping[str, Any]:
        """Read environment.json; no file is an empty one."""
        if not self.has(ENVIRONMENT):
            return {}
        values = self._json(ENVIRONMENT)
        if not isinstance(values, dict):
            raise RunError(f"{self.path / ENVIRONMENT}: is not an object")
        return values

    def stored_run(self) -> StoredRun | None:
        """Read everything but the weights; None if the run has no outcome yet."""
        record = self.record()
        if record is None:
            return None
        return StoredRun(self.spec(), record, self.epochs(), self.scores(), self.environment(), self.path)

    def _inside(self, path: Path) -> Path:
        if not inside(path, self.runs):
            raise RunError(f"{path}: links that lead out of the results folder are not followed; remove it")
        return path

    def _text(self, name: str) -> str:
        path = self.file(name)
        try:
            return path.read_text(encoding="utf-8")
        except OSError as error:
            raise RunError(f"{path}: {(error.strerror or str(error)).lower()}") from error
        except UnicodeDecodeError:
            raise RunError(f"{path}: is not text") from None

    def _json(self, name: str) -> Any:
        try:
            return json.loads(self._text(name))
        except (ValueError, RecursionError):
            raise RunError(f"{self.path / name}: is not JSON, or is incomplete") from None

    def _model(self, kind: type[Model], values: Any, name: str) -> Model:
        try:
            return kind.model_validate(_null_to_nan(kind, values))
        except ValidationError as error:
            raise RunError(f"{self.path / name}: {_fault(error)}") from None


def _null_to_nan(kind: type[Frozen], values: Any) -> Any:
    """Replace null by NaN in number fields: numbers that are not finite were written as null."""
    if not isinstance(values, dict):
        return values
    fields = kind.model_fields
    nulls = {key for key, value in values.items() if value is None and key in fields}
    return {**values, **{key: math.nan for key in nulls if fields[key].annotation is float}}


def _fault(error: ValidationError | csv.Error) -> str:
    if isinstance(error, csv.Error):
        return str(error)
    first = error.errors(include_url=False)[0]
    return printable(f"{'.'.join(str(part) for part in first['loc']) or 'value'}: {first['msg'].lower()}")
