"""JSON, CSV, TOML and gzip of others, bounded in depth, numbers, texts and values; ReadError for anything else."""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
import tomllib
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gan_bench.core.errors import ReadError, first_line, printable
from gan_bench.core.limits import MAX_COLUMNS, MAX_DEPTH, MAX_INT, MAX_TEXT, MAX_VALUES
from gan_bench.core.reading import read_bytes, size_text


def read_json(path: Path, *, max_bytes: int, root: Path | None = None, max_values: int = MAX_VALUES) -> Any:
    """Return the values of a JSON file; raise ReadError."""
    return parse_json(read_bytes(path, max_bytes=max_bytes, root=root), str(path), max_values=max_values)


def parse_json(data: bytes, where: str, *, max_values: int = MAX_VALUES) -> Any:
    """Return the values of JSON text; raise ReadError for text that is not JSON, or is out of bounds."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise ReadError(f"{where}: is not text") from None
    if text.count(",") + text.count("[") + text.count("{") > max_values:  # before it takes memory
        raise ReadError(f"{where}: has more than {max_values:,} values")
    try:
        value = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise ReadError(f"{where}: is not JSON, or is incomplete") from None
    check_bounds(value, where)
    return value


def parse_toml(data: bytes, where: str) -> dict[str, Any]:
    """Return the values of a TOML file; raise ReadError for one that is not TOML, or is out of bounds."""
    try:
        values = tomllib.loads(data.decode("utf-8"))
    except RecursionError:
        raise ReadError(f"{where}: nested deeper than {MAX_DEPTH} levels") from None
    except ValueError as error:
        raise ReadError(f"{where}: not valid TOML: {printable(first_line(error))[:200]}") from None
    check_bounds(values, where)
    return values


def parse_csv(data: bytes, where: str, columns: Sequence[str], *, max_rows: int) -> Iterator[list[str]]:
    """Yield the named columns of each row of a CSV file with a header; raise ReadError."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise ReadError(f"{where}: is not text") from None
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = next(rows, [])
        if len(header) > MAX_COLUMNS or not set(columns) <= set(header):
            raise ReadError(f"{where}: its first line does not name every column")
        places = [header.index(name) for name in columns]
        for number, row in enumerate(rows, start=1):
            if number > max_rows:
                raise ReadError(f"{where}: has more than {max_rows:,} lines")
            if row and len(row) != len(header):
                raise ReadError(f"{where}: line {number} has {len(row)} values, not {len(header)}")
            if row:
                yield [row[place] for place in places]
    except csv.Error as error:
        raise ReadError(f"{where}: {error}") from None


def gunzip(data: bytes, where: str, *, max_bytes: int) -> bytes:
    """Return gzipped data unpacked; raise ReadError for damaged data, or for more than `max_bytes` of it."""
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            unpacked = file.read(max_bytes + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise ReadError(f"{where} is not a valid gzip file ({error})") from None
    if len(unpacked) > max_bytes:
        raise ReadError(f"{where} unpacks to more than the {size_text(max_bytes)} that are read")
    return unpacked


def check_bounds(value: Any, where: str) -> None:
    """Raise ReadError for values nested too deeply, numbers out of range, and texts too long or not Unicode."""
    pending = [(value, 1)]
    while pending:
        each, depth = pending.pop()
        if isinstance(each, str):
            _check_text(each, where)
        elif isinstance(each, Mapping):
            for key in each:
                _check_text(str(key), where)
            pending.extend((item, depth + 1) for item in each.values())
        elif isinstance(each, list):
            pending.extend((item, depth + 1) for item in each)
        elif isinstance(each, int):
            if not -MAX_INT < each < MAX_INT:
                raise ReadError(f"{where}: has a number of more than 64 bits")
        elif isinstance(each, float) and not math.isfinite(each):
            raise ReadError(f"{where}: has a number out of range")
        if depth > MAX_DEPTH:
            raise ReadError(f"{where}: nested deeper than {MAX_DEPTH} levels")


def _check_text(text: str, where: str) -> None:
    if len(text) > MAX_TEXT:
        raise ReadError(f"{where}: has a text of more than {MAX_TEXT:,} characters")
    if not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text):
        raise ReadError(f"{where}: has a text that is not Unicode")


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
