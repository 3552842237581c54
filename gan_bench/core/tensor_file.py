"""Safetensors files as NumPy arrays: header, names, types and extents are checked before anything is made of them.

Types without a NumPy equivalent, such as BF16, are refused: gan_bench writes none.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np

from gan_bench.core.decoding import parse_json
from gan_bench.core.errors import ReadError, printable
from gan_bench.core.limits import MAX_ARRAYS, MAX_ARRAYS_BYTES, MAX_HEADER_BYTES
from gan_bench.core.reading import read_bytes

if TYPE_CHECKING:
    from gan_bench.core.records import Arrays

DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1", "U8": "u1",
    "U16": "<u2", "U32": "<u4", "U64": "<u8", "BOOL": "?",
}  # fmt: skip
MAX_NAME, MAX_RANK = 512, 8
METADATA = "__metadata__"


@dataclass(frozen=True)
class TensorFile:
    """The arrays of a safetensors file, and its metadata."""

    arrays: Arrays
    metadata: Mapping[str, str]


def read_tensors(path: Path, *, max_bytes: int = MAX_ARRAYS_BYTES, root: Path | None = None) -> TensorFile:
    """Return the content of a safetensors file; raise ReadError."""
    return parse_tensors(read_bytes(path, max_bytes=max_bytes, root=root), str(path))


def parse_tensors(data: bytes, where: str) -> TensorFile:
    """Return the content of a safetensors file from its bytes; raise ReadError for anything else."""
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > min(MAX_HEADER_BYTES, len(data) - 8):
        raise ReadError(f"{where}: is not a safetensors file, or is incomplete")
    header = parse_json(data[8 : 8 + length], where, max_values=10 * MAX_ARRAYS)
    if not isinstance(header, dict) or len(header) > MAX_ARRAYS:
        raise ReadError(f"{where}: its header is not that of a safetensors file")
    metadata = header.pop(METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(text, str) for text in metadata.values()):
        raise ReadError(f"{where}: its metadata is not text")
    found: dict[str, Any] = {}
    start = 8 + length
    spans: list[tuple[int, int]] = []
    for name, entry in header.items():
        dtype, shape, begin, end = _entry(name, entry, where)
        count = math.prod(shape)
        if end - begin != count * dtype.itemsize or start + end > len(data):
            raise ReadError(f"{where}: the extent of {printable(name)[:60]!r} does not fit its type and shape")
        found[name] = np.frombuffer(data, dtype=dtype, count=count, offset=start + begin).reshape(shape).copy()
        spans.append((begin, end))
    _require_no_gaps(spans, len(data) - start, where)
    return TensorFile(found, metadata)


def _entry(name: str, entry: object, where: str) -> tuple[np.dtype[Any], list[int], int, int]:
    """Return an array's type, shape, begin and end."""
    shown = printable(name)[:60]
    if len(name) > MAX_NAME or not isinstance(entry, dict):
        raise ReadError(f"{where}: the entry of {shown!r} is not that of an array")
    kind, shape, extent = entry.get("dtype"), entry.get("shape"), entry.get("data_offsets")
    if not isinstance(kind, str) or kind not in DTYPES:
        raise ReadError(f"{where}: {shown!r} is of type {printable(str(kind))[:20]}, which is not supported")
    if not _is_counts(shape, MAX_RANK) or not _is_counts(extent, 2) or len(extent) != 2:
        raise ReadError(f"{where}: shape or extent of {shown!r} is not valid")
    return np.dtype(DTYPES[kind]), shape, extent[0], extent[1]


def _is_counts(values: object, most: int) -> TypeGuard[list[int]]:
    return (
        isinstance(values, list) and len(values) <= most and all(type(v) is int and 0 <= v < 2**48 for v in values)
    )


def _require_no_gaps(spans: list[tuple[int, int]], size: int, where: str) -> None:
    """Raise ReadError unless arrays cover the data without overlaps: otherwise few bytes could be many arrays."""
    position = 0
    for begin, end in sorted(spans):
        if begin != position:
            raise ReadError(f"{where}: arrays overlap, or leave gaps")
        position = end
    if position != size:
        raise ReadError(f"{where}: is incomplete, or has bytes that belong to no array")
