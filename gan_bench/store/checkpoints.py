"""Checkpoints as pairs of files: arrays in safetensors, state in JSON, both with their SHA-256.

The previous pair is kept as `<name>.previous.*`. The JSON contains the hash of its arrays, so that a kill between
two renames leaves a JSON and arrays that match, whatever their names are at that moment.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

from gan_bench.core.decoding import parse_json
from gan_bench.core.errors import ReadError, RunError, first_line
from gan_bench.core.events import Notice, OnEvent, ignore_events
from gan_bench.core.files import temporary, write_new
from gan_bench.core.frozen import canonical_json
from gan_bench.core.limits import GIB, MAX_ARRAYS_BYTES, MAX_STATE_BYTES, MAX_STATE_VALUES
from gan_bench.core.reading import file_hash
from gan_bench.core.records import Checkpoint
from gan_bench.core.tensor_file import parse_tensors
from gan_bench.store import fenced_writes, leases
from gan_bench.store.run_folder import RunFolder

FLOAT = "$float"
DISCARDED = Checkpoint({}, {"discarded": True})
"""Marks that there is no checkpoint. Written instead of removing one, because a removal can't be fenced."""


Accepts = Callable[[Checkpoint], None]
"""Raises RunError for a checkpoint that can't be used; it then counts as damaged."""


def accept_any(checkpoint: Checkpoint) -> None:
    """Accept every checkpoint."""


@dataclass(frozen=True)
class _Pair:
    head: Path
    arrays: Path
    checkpoint: Checkpoint


def save(folder: RunFolder, name: str, checkpoint: Checkpoint, *, spare: bool = True) -> None:
    """Replace the pair called `name`; with `spare`, the old one becomes the previous pair."""
    # In C order: safetensors stores raw bytes, which would permute a channels_last weight.
    arrays = safetensors.numpy.save({key: np.asarray(a, order="C") for key, a in checkpoint.arrays.items()})
    if len(arrays) > MAX_ARRAYS_BYTES:
        raise RunError(
            f"{folder.run_id}: a checkpoint of {len(arrays) / GIB:.1f} GiB, more than can be read again"
        )
    state = canonical_json(_encoded(checkpoint.state))
    head = {"arrays_sha256": _sha256(arrays), "state_sha256": _sha256(state.encode()), "state": json.loads(state)}
    text = json.dumps(head, indent=1) + "\n"
    head_path, arrays_path = _paths(folder, name)
    mark = leases.check(folder.path)
    with temporary(arrays_path, mark) as new_arrays, temporary(head_path, mark) as new_head:
        write_new(new_arrays, arrays)  # first: the file that may not fit on the disk
        write_new(new_head, text.encode())
        if spare and arrays_path.is_file() and head_path.is_file():
            _copy(folder, _paths(folder, name), _paths(folder, _previous(name)))
        fenced_writes.publish(folder, new_arrays, arrays_path)
        fenced_writes.publish(folder, new_head, head_path)


def exists(folder: RunFolder, name: str) -> bool:
    """Return whether there is a checkpoint called `name`, intact or not."""
    return folder.has(_head(name)) or folder.has(_head(_previous(name)))


def load(folder: RunFolder, name: str, on_event: OnEvent, accepts: Accepts = accept_any) -> Checkpoint | None:
    """Return the newest intact checkpoint called `name`, or None; emit a notice for a damaged one."""
    pair = _newest(folder, name, on_event, accepts)
    return pair.checkpoint if pair else None


def restore(folder: RunFolder, name: str, on_event: OnEvent, accepts: Accepts = accept_any) -> Checkpoint | None:
    """Return the checkpoint that `load` returns, and copy it to the newest pair, which replaces a damaged one."""
    pair = _newest(folder, name, on_event, accepts)
    if pair is None:
        return None
    _copy(folder, (pair.head, pair.arrays), _paths(folder, name))
    return pair.checkpoint


def discard(folder: RunFolder, name: str) -> None:
    """Mark the checkpoint called `name` as discarded, if there is one."""
    if _newest(folder, name, ignore_events):
        save(folder, name, DISCARDED)


def drop_previous(folder: RunFolder, name: str) -> None:
    """Remove the previous pair of a finished run; where that fails, `doctor --repair` removes it later."""
    for path in spares(folder, name):
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def spares(folder: RunFolder, name: str) -> list[Path]:
    """Return the existing files of the previous pair."""
    return [path for path in _paths(folder, _previous(name)) if path.is_file()]


def _newest(folder: RunFolder, name: str, on_event: OnEvent, accepts: Accepts = accept_any) -> _Pair | None:
    for head in (_head(name), _head(_previous(name))):
        if not folder.has(head):
            continue
        try:
            pair = _read(folder, head, name)
            if pair.checkpoint.state != DISCARDED.state:
                accepts(pair.checkpoint)
        except RunError as fault:
            on_event(Notice(f"{folder.path / head}: damaged, not used: {first_line(fault)[:400]}"))
            continue
        return pair if pair.checkpoint.state != DISCARDED.state else None
    return None


def _read(folder: RunFolder, head: str, name: str) -> _Pair:
    where = str(folder.path / head)
    values = parse_json(folder.read(head, MAX_STATE_BYTES), where, max_values=MAX_STATE_VALUES)
    if not isinstance(values, dict) or not isinstance(values.get("state"), dict):
        raise ReadError("not a checkpoint")
    if _sha256(canonical_json(values["state"]).encode()) != values.get("state_sha256"):
        raise ReadError("its state does not match its checksum")
    for path in _candidates(folder, name):
        if file_hash(path, max_bytes=MAX_ARRAYS_BYTES, root=folder.runs) != values.get("arrays_sha256"):
            continue
        data = folder.read(path.name, MAX_ARRAYS_BYTES)
        if _sha256(data) == values.get("arrays_sha256"):  # it may have been replaced in between
            arrays = parse_tensors(data, str(path)).arrays
            return _Pair(folder.file(head), path, Checkpoint(arrays, _decoded(values["state"])))
    raise ReadError("its arrays are missing or don't match their checksum")


def _copy(folder: RunFolder, sources: tuple[Path, Path], targets: tuple[Path, Path]) -> None:
    """Copy one pair to another; the JSON first: until its arrays follow, they are found by their hash."""
    for source, target in zip(sources, targets, strict=True):
        if source != target:
            fenced_writes.copy(folder, source, target)


def _candidates(folder: RunFolder, name: str) -> Iterator[Path]:
    for arrays in (_arrays(name), _arrays(_previous(name))):
        if folder.has(arrays):
            yield folder.file(arrays)


def _encoded(value: object) -> object:
    """Return JSON-compatible values; numbers that are not finite become {"$float": "nan"}."""
    if isinstance(value, float) and not math.isfinite(value):
        return {FLOAT: repr(value)}
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise TypeError("the keys of a checkpoint's state must be text: JSON would change other keys")
        return {key: _encoded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_encoded(item) for item in value]
    return value


def _decoded(value: Any) -> Any:
    if isinstance(value, dict):
        if set(value) == {FLOAT}:
            if value[FLOAT] not in ("nan", "inf", "-inf"):
                raise ReadError("a number in its state is not valid")
            return float(value[FLOAT])
        return {key: _decoded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_decoded(item) for item in value]
    return value


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _head(name: str) -> str:
    return f"{name}.json"


def _arrays(name: str) -> str:
    return f"{name}.safetensors"


def _previous(name: str) -> str:
    return f"{name}.previous"


def _paths(folder: RunFolder, name: str) -> tuple[Path, Path]:
    return folder.file(_head(name)), folder.file(_arrays(name))
