"""A checkpoint as a pair of files: arrays in safetensors, the rest in JSON, each sealed with its SHA-256.

The pair before is kept as `<name>.previous.*`. The JSON names the hash of the arrays that belong to it, so that
every kill between two renames leaves a JSON and arrays that match, whatever they are called at that moment.
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
from safetensors import SafetensorError

from gan_bench.errors import RunError
from gan_bench.record import Checkpoint
from gan_bench.store import fence, lease
from gan_bench.store.atomic import private, write_new
from gan_bench.store.folder import RunFolder

Notify = Callable[[str], None]
FLOAT = "$float"
NOTHING = Checkpoint({}, {"discarded": True})
"""Says that there is no checkpoint; written where one must not be used any more: a removal can't be fenced."""


@dataclass(frozen=True)
class _Pair:
    head: Path
    arrays: Path
    checkpoint: Checkpoint


def save(folder: RunFolder, name: str, checkpoint: Checkpoint, *, spare: bool = True) -> None:
    """Replace the pair called `name`; with `spare`, the one that was there becomes the previous one."""
    # In C order: safetensors takes the bytes as they lie, and a channels_last weight would come back shuffled.
    arrays = safetensors.numpy.save({key: np.asarray(a, order="C") for key, a in checkpoint.arrays.items()})
    state = _canonical(_encoded(checkpoint.state))
    head = {"arrays_sha256": _sha256(arrays), "state_sha256": _sha256(state.encode()), "state": json.loads(state)}
    text = json.dumps(head, indent=1) + "\n"
    head_path, arrays_path = _paths(folder, name)
    mark = lease.check(folder.path)
    with private(arrays_path, mark) as new_arrays, private(head_path, mark) as new_head:
        write_new(new_arrays, arrays)  # first, for it is what may not fit on the disk
        write_new(new_head, text.encode())
        if spare and arrays_path.is_file() and head_path.is_file():
            _copy(folder, _paths(folder, name), _paths(folder, _previous(name)))
        fence.publish(folder, new_arrays, arrays_path)
        fence.publish(folder, new_head, head_path)


def load(folder: RunFolder, name: str, notify: Notify) -> Checkpoint | None:
    """Return the newest intact checkpoint called `name`, or None; a damaged one is told to `notify`."""
    pair = _newest(folder, name, notify)
    return pair.checkpoint if pair else None


def restore(folder: RunFolder, name: str, notify: Notify) -> Checkpoint | None:
    """Return what `load` does, having put it where the newest one is, so that a damaged one is told of once."""
    pair = _newest(folder, name, notify)
    if pair is None:
        return None
    _copy(folder, (pair.head, pair.arrays), _paths(folder, name))
    return pair.checkpoint


def discard(folder: RunFolder, name: str) -> None:
    """Make sure that no checkpoint called `name` is found."""
    if _newest(folder, name, lambda fault: None):
        save(folder, name, NOTHING)


def drop_previous(folder: RunFolder, name: str) -> None:
    """Remove the spare pair of a run that is over; where that is refused, it stays, for `doctor` to remove."""
    for path in spares(folder, name):
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def spares(folder: RunFolder, name: str) -> list[Path]:
    """Return the files of the spare pair that are there."""
    return [path for path in _paths(folder, _previous(name)) if path.is_file()]


def _newest(folder: RunFolder, name: str, notify: Notify) -> _Pair | None:
    for head in (_head(name), _head(_previous(name))):
        if not folder.has(head):
            continue
        try:
            pair = _read(folder, head, name)
        except (RunError, OSError, ValueError, RecursionError, SafetensorError) as fault:
            notify(f"{folder.path / head}: damaged and not used: {_short(fault)}")
            continue
        return pair if pair.checkpoint.state != NOTHING.state else None
    return None


def _read(folder: RunFolder, head: str, name: str) -> _Pair:
    values = json.loads(folder.file(head).read_bytes())
    if not isinstance(values, dict) or not isinstance(values.get("state"), dict):
        raise ValueError("not a checkpoint")
    if _sha256(_canonical(values["state"]).encode()) != values.get("state_sha256"):
        raise ValueError("its state has changed since it was written")
    for path, data in _candidates(folder, name):
        if _sha256(data) == values.get("arrays_sha256"):
            return _Pair(
                folder.file(head), path, Checkpoint(safetensors.numpy.load(data), _decoded(values["state"]))
            )
    raise ValueError("its arrays are missing or have changed since they were written")


def _copy(folder: RunFolder, sources: tuple[Path, Path], targets: tuple[Path, Path]) -> None:
    """Make one pair what another is; the JSON first: till its arrays follow, their hash finds them."""
    for source, target in zip(sources, targets, strict=True):
        if source != target:
            fence.copy(folder, source, target)


def _candidates(folder: RunFolder, name: str) -> Iterator[tuple[Path, bytes]]:
    for arrays in (_arrays(name), _arrays(_previous(name))):
        if folder.has(arrays):
            path = folder.file(arrays)
            yield path, path.read_bytes()


def _canonical(values: object) -> str:
    return json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _encoded(value: object) -> object:
    """Return `value` in JSON's words; numbers that JSON has no word for are kept exactly, as {"$float": "nan"}."""
    if isinstance(value, float) and not math.isfinite(value):
        return {FLOAT: repr(value)}
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise TypeError("a checkpoint's state has text for keys: JSON would change other keys")
        return {key: _encoded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_encoded(item) for item in value]
    return value


def _decoded(value: Any) -> Any:
    if isinstance(value, dict):
        if set(value) == {FLOAT}:
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


def _short(fault: Exception) -> str:
    return str(fault).splitlines()[0][:200] if str(fault) else type(fault).__name__
