"""A run's folder: the names of its files, and how each is read and validated."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from gan_bench.core import reading
from gan_bench.core.decoding import parse_csv, parse_json
from gan_bench.core.errors import ReadError, printable
from gan_bench.core.frozen import Frozen
from gan_bench.core.images import epoch_grids, grid_name
from gan_bench.core.limits import (
    MAX_ENVIRONMENT_BYTES,
    MAX_EPOCHS,
    MAX_EPOCHS_BYTES,
    MAX_RECORD_BYTES,
    MAX_SCORE_VALUES,
    MAX_SCORES,
    MAX_SCORES_BYTES,
    MAX_SPEC_BYTES,
    MAX_VALUES,
)
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
MAX_BYTES = {
    SPEC: MAX_SPEC_BYTES,
    ENVIRONMENT: MAX_ENVIRONMENT_BYTES,
    EPOCHS: MAX_EPOCHS_BYTES,
    SCORES: MAX_SCORES_BYTES,
    RECORD: MAX_RECORD_BYTES,
}
"""The files a report is made from, and the size up to which each is read."""


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
    """The folder `runs/<run_id>`; `runs` is a resolved path, below which no link is followed.

    Unreadable files raise ReadError with their path.
    """

    runs: Path
    run_id: str

    def __post_init__(self) -> None:
        check_name("run", self.run_id)
        self._no_link(self.path)

    @property
    def path(self) -> Path:
        """The folder, which need not exist."""
        return self.runs / self.run_id

    @property
    def samples(self) -> Path:
        """The folder of the sample grids."""
        return self._no_link(self.path / SAMPLES)

    def file(self, name: str) -> Path:
        """Return the path of a file of the run; raise ReadError for a link."""
        return self._no_link(self.path / name)

    def has(self, name: str) -> bool:
        """Return whether something in the folder is called `name`, readable or not."""
        return reading.exists(self.path / name)

    def read(self, name: str, max_bytes: int | None = None) -> bytes:
        """Return a file's content; `max_bytes` is that of MAX_BYTES by default."""
        limit = MAX_BYTES[name] if max_bytes is None else max_bytes
        return reading.read_bytes(self.path / name, max_bytes=limit, root=self.runs)

    def grid(self, epoch: int) -> Path:
        """Return the path of an epoch's grid."""
        return self.samples / grid_name(epoch)

    def grids(self) -> dict[int, Path]:
        """Return the existing grids by epoch, in order."""
        return epoch_grids(self.path / SAMPLES, root=self.runs)

    def spec(self) -> TrainingSpec:
        """Read spec.json; raise ReadError if its run id is not the folder's name."""
        return self.parse_spec(self.read(SPEC))

    def parse_spec(self, data: bytes) -> TrainingSpec:
        """Return the spec in the content of spec.json; raise ReadError if its run id is not the folder's name."""
        spec: TrainingSpec = self._model(TrainingSpec, self._json(data, SPEC), SPEC)
        if spec.run_id != self.run_id:
            raise ReadError(f"{self.path / SPEC}: describes {spec.run_id}, not the run the folder is named after")
        return spec

    def any_spec(self) -> TrainingSpec:
        """Read spec.json, whichever run it describes."""
        return self._model(TrainingSpec, self._json(self.read(SPEC), SPEC), SPEC)

    def record(self) -> RunRecord | None:
        """Read record.json; None if the last attempt has no outcome."""
        record = self.last_record()
        return record if record and record.attempts >= self.attempt() else None

    def attempt(self) -> int:
        """Return the number of the last attempt, from environment.json; 0 where there is none."""
        return attempt_of(self.environment())

    def last_record(self) -> RunRecord | None:
        """Read record.json of any attempt; None if there is none."""
        return self.parse_record(self.read(RECORD)) if self.has(RECORD) else None

    def parse_record(self, data: bytes) -> RunRecord:
        """Return the record in the content of record.json."""
        values = self._json(data, RECORD)
        version = values.get("schema_version", 1) if isinstance(values, dict) else 1
        if isinstance(version, int) and version != SCHEMA_VERSION:
            raise ReadError(f"{self.path / RECORD}: {other_schema(version)}")
        record: RunRecord = self._model(RunRecord, values, RECORD)
        if record.run_id != self.run_id:
            raise ReadError(f"{self.path / RECORD}: is the record of another run, {record.run_id}")
        return record

    def epochs(self) -> list[EpochRecord]:
        """Read epochs.csv; no file is no epochs. Unknown columns are ignored."""
        return self.parse_epochs(self.read(EPOCHS)) if self.has(EPOCHS) else []

    def parse_epochs(self, data: bytes) -> list[EpochRecord]:
        """Return the epochs in the content of epochs.csv."""
        rows = parse_csv(data, str(self.path / EPOCHS), EPOCH_COLUMNS, max_rows=MAX_EPOCHS)
        try:
            return [EpochRecord.model_validate(dict(zip(EPOCH_COLUMNS, row, strict=True))) for row in rows]
        except ValidationError as error:
            raise ReadError(f"{self.path / EPOCHS}: {_fault(error)}") from None

    def scores(self) -> list[Score]:
        """Read scores.json; no file is no scores."""
        return self.parse_scores(self.read(SCORES)) if self.has(SCORES) else []

    def parse_scores(self, data: bytes) -> list[Score]:
        """Return the scores in the content of scores.json."""
        values = self._json(data, SCORES, MAX_SCORE_VALUES)
        if not isinstance(values, list):
            raise ReadError(f"{self.path / SCORES}: is not a list")
        if len(values) > MAX_SCORES:
            raise ReadError(f"{self.path / SCORES}: has more than {MAX_SCORES:,} scores")
        return [self._model(Score, value, SCORES) for value in values]

    def environment(self) -> Mapping[str, Any]:
        """Read environment.json; no file is an empty one."""
        return self.parse_environment(self.read(ENVIRONMENT)) if self.has(ENVIRONMENT) else {}

    def parse_environment(self, data: bytes) -> Mapping[str, Any]:
        """Return the content of environment.json."""
        values = self._json(data, ENVIRONMENT)
        if not isinstance(values, dict):
            raise ReadError(f"{self.path / ENVIRONMENT}: is not an object")
        return values

    def parse(self, contents: Mapping[str, bytes], record: RunRecord) -> StoredRun:
        """Return the run that the contents of its files describe; missing ones of epochs and scores are empty."""
        return StoredRun(
            self.parse_spec(contents[SPEC]),
            record,
            self.parse_epochs(contents[EPOCHS]) if EPOCHS in contents else [],
            self.parse_scores(contents[SCORES]) if SCORES in contents else [],
            self.parse_environment(contents[ENVIRONMENT]) if ENVIRONMENT in contents else {},
            self.path,
        )

    def _no_link(self, path: Path) -> Path:
        if path.is_symlink():
            raise ReadError(f"{path}: {reading.LINK}")
        return path

    def _json(self, data: bytes, name: str, max_values: int = MAX_VALUES) -> Any:
        return parse_json(data, str(self.path / name), max_values=max_values)

    def _model(self, kind: type[Model], values: Any, name: str) -> Model:
        try:
            return kind.model_validate(_null_to_nan(kind, values))
        except ValidationError as error:
            raise ReadError(f"{self.path / name}: {_fault(error)}") from None


def attempt_of(environment: Mapping[str, Any]) -> int:
    """Return the number of an attempt from its environment.json; 0 where it has none."""
    number = environment.get(ATTEMPT)
    return number if isinstance(number, int) else 0


def _null_to_nan(kind: type[Frozen], values: Any) -> Any:
    """Replace null by NaN in number fields: numbers that are not finite were written as null."""
    if not isinstance(values, dict):
        return values
    fields = kind.model_fields
    nulls = {key for key, value in values.items() if value is None and key in fields}
    return {**values, **{key: math.nan for key in nulls if fields[key].annotation is float}}


def _fault(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    name = ".".join(str(part) for part in first["loc"])[:200] or "value"
    return printable(f"{name}: {first['msg'].lower()[:200]}")
