"""ScoreCache: real features and reference scores on disk, keyed by everything they depend on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save

from gan_bench.core.decoding import read_json
from gan_bench.core.errors import ReadError
from gan_bench.core.events import Notice, OnEvent
from gan_bench.core.files import atomic_file
from gan_bench.core.frozen import canonical_json, sha256_hex
from gan_bench.core.limits import MAX_RECORD_BYTES
from gan_bench.core.private_folder import make_private
from gan_bench.core.tensor_file import read_tensors
from gan_bench.metrics.extractors.base import Features, weights_sha256

KEY, SHA256, VALUES = "key", "sha256", "values"
"""Each file holds the key it belongs to, and the hash of its values: a renamed or damaged one is a miss."""


class ScoreCache:
    """Safetensors and JSON files in a folder with access for its owner only; missing or damaged ones are misses.

    A folder that is not writable disables the cache, with one notice.
    """

    def __init__(self, folder: Path, on_event: OnEvent) -> None:
        self.folder, self.on_event = folder, on_event
        self._read_only = False

    def features(self, key: Mapping[str, object]) -> Features | None:
        """Return the features stored under `key`, or None."""
        try:
            file = read_tensors(self.folder / f"{_name(key)}.safetensors")
            found = {name: torch.from_numpy(file.arrays[name]) for name in ("features", "logits")}
        except (ReadError, KeyError):
            return None
        known = {KEY: _text(key), SHA256: weights_sha256(found)}
        if dict(file.metadata) != known or not _are_features(found["features"], found["logits"]):
            return None
        return Features(found["features"], found["logits"])

    def store_features(self, key: Mapping[str, object], features: Features) -> None:
        """Store features under `key`."""
        arrays = {"features": features.features.contiguous(), "logits": features.logits.contiguous()}
        metadata = {KEY: _text(key), SHA256: weights_sha256(arrays)}
        self._write(f"{_name(key)}.safetensors", save(arrays, metadata=metadata))

    def values(self, key: Mapping[str, object]) -> dict[str, float]:
        """Return the finite values stored under `key` by column; empty if there are none."""
        try:
            stored = read_json(self.folder / f"{_name(key)}.json", max_bytes=MAX_RECORD_BYTES)
            if stored[KEY] != _text(key) or stored[SHA256] != sha256_hex(canonical_json(stored[VALUES])):
                return {}
            return {str(name): float(value) for name, value in stored[VALUES].items() if math.isfinite(value)}
        except (ReadError, KeyError, ValueError, TypeError, AttributeError):
            return {}

    def store_values(self, key: Mapping[str, object], values: Mapping[str, float]) -> None:
        """Store values by column under `key`."""
        finite = {name: value for name, value in values.items() if math.isfinite(value)}
        stored = {KEY: _text(key), SHA256: sha256_hex(canonical_json(finite)), VALUES: finite}
        self._write(f"{_name(key)}.json", canonical_json(stored).encode())

    def _write(self, name: str, data: bytes) -> None:
        try:
            with atomic_file(make_private(self.folder) / name) as file:
                file.write(data)
        except OSError as error:
            if not self._read_only:
                self.on_event(
                    Notice(
                        f"The cache folder {self.folder} is not writable ({error}); features and reference scores "
                        "are recomputed each time."
                    )
                )
            self._read_only = True


def _text(key: Mapping[str, object]) -> str:
    return canonical_json({**key, "torch": torch.__version__})


def _name(key: Mapping[str, object]) -> str:
    return sha256_hex(_text(key))[:32]


def _are_features(features: torch.Tensor, logits: torch.Tensor) -> bool:
    floats = features.dtype == logits.dtype == torch.float32
    return floats and features.ndim == logits.ndim == 2 and len(features) == len(logits)
