"""One run's folder: the name of every file in it, and how each is read back and checked."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from gan_bench.errors import RunError, printable
from gan_bench.record import SCHEMA_VERSION, EpochRecord, RunRecord, Score, StoredRun
from gan_bench.registry import check_name
from gan_bench.spec import Frozen, RunSpec

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


@dataclass(frozen=True)
class RunFolder:
    """The folder `runs/<run_id>`; `runs` is a resolved path. What can't be read raises RunError with its name."""

    runs: Path
    run_id: str

    def __post_init__(self) -> None:
        check_name("run", self.run_id)
        self._inside(self.path)

    @property
    def path(self) -> Path:
        """The folder itself, which need not be there yet."""
        return self.runs / self.run_id

    @property
    def samples(self) -> Path:
        """The folder of the pictures."""
        return self._inside(self.path / SAMPLES)

    def file(self, name: str) -> Path:
        """Return the path of one of the run's files; raise RunError if a link leads out of the results."""
        return self._inside(self.path / name)

    def has(self, name: str) -> bool:
        """Say whether the run has a file called `name`."""
        return (self.path / name).is_file()

    def grid(self, epoch: int) -> Path:
        """Return the path of an epoch's grid."""
        return self.samples / f"epoch_{epoch:04d}.png"

    def grids(self) -> dict[int, Path]:
        """Return the grids that are there, by epoch, in order."""
        found: dict[int, Path] = {}
        for path in self.samples.glob("epoch_*.png"):
            match = re.fullmatch(r"epoch_(\d{4,9})\.png", path.name)
            if match:
                found[int(match[1])] = self._inside(path)
        return dict(sorted(found.items()))

    def spec(self) -> RunSpec:
        """Read spec.json; raise RunError if its hash is not the one in the folder's name."""
        spec = self.any_spec()
        if spec.run_id != self.run_id:
            raise RunError(
                f"{self.path / SPEC}: describes {spec.run_id}, not the run that the folder is named after"
            )
        return spec

    def any_spec(self) -> RunSpec:
        """Read spec.json, whichever run it describes."""
        return self._model(RunSpec, self._json(SPEC), SPEC)

    def record(self) -> RunRecord | None:
        """Read record.json; None if the run has no outcome: none yet, or that of an attempt before the last."""
        record = self.last_record()
        return record if record and record.attempts >= self.attempt() else None

    def attempt(self) -> int:
        """Return the number of the attempt that was begun last, by environment.json; 0 where there is none."""
        number = self.environment().get(ATTEMPT)
        return number if isinstance(number, int) else 0

    def last_record(self) -> RunRecord | None:
        """Read record.json, whichever attempt it is of; None if there is none."""
        if not self.has(RECORD):
            return None
        values = self._json(RECORD)
        version = values.get("schema_version", 1) if isinstance(values, dict) else 1
        if isinstance(version, int) and version > SCHEMA_VERSION:
            raise RunError(
                f"{self.path / RECORD}: written by a newer gan_bench (schema {version}); update gan_bench"
            )
        record = self._model(RunRecord, values, RECORD)
        if record.run_id != self.run_id:
            raise RunError(f"{self.path / RECORD}: is the record of {printable(record.run_id)}")
        return record

    def epochs(self) -> list[EpochRecord]:
        """Read epochs.csv; no file is no epochs. Columns that this version doesn't know are passed over."""
        if not self.has(EPOCHS):
            return []
        lines = csv.DictReader(io.StringIO(self._text(EPOCHS)), strict=True)
        try:
            if not set(EPOCH_COLUMNS) <= set(lines.fieldnames or ()):
                raise RunError(f"{self.path / EPOCHS}: its first line does not name the columns")
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
        if not path.resolve().is_relative_to(self.runs):
            raise RunError(f"{path}: a link that leads out of the results folder is not followed; remove it")
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
            raise RunError(f"{self.path / name}: is not JSON, or only a part of it") from None

    def _model(self, kind: type[Model], values: Any, name: str) -> Model:
        try:
            return kind.model_validate(_with_nans(kind, values))
        except ValidationError as error:
            raise RunError(f"{self.path / name}: {_fault(error)}") from None


def _with_nans(kind: type[Frozen], values: Any) -> Any:
    """Read null as NaN where a number must stand: that is how a number that isn't finite was written."""
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
