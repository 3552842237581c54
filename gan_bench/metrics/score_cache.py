"""ScoreCache: real features and reference scores on disk, keyed by everything they depend on."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from gan_bench.core.events import Notice, OnEvent
from gan_bench.core.files import atomic_file, private_folder
from gan_bench.core.frozen import canonical_json, sha256_hex
from gan_bench.metrics.extractors.base import Features


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
            arrays = load((self.folder / f"{_name(key)}.safetensors").read_bytes())
            return Features(arrays["features"], arrays["logits"])
        except (OSError, KeyError, SafetensorError):
            return None

    def store_features(self, key: Mapping[str, object], features: Features) -> None:
        """Store features under `key`."""
        arrays = {"features": features.features.contiguous(), "logits": features.logits.contiguous()}
        self._write(f"{_name(key)}.safetensors", save(arrays))

    def values(self, key: Mapping[str, object]) -> dict[str, float]:
        """Return the finite values stored under `key` by column; empty if there are none."""
        try:
            stored = json.loads((self.folder / f"{_name(key)}.json").read_text("utf-8"))
            return {str(name): float(value) for name, value in stored.items() if math.isfinite(value)}
        except (OSError, ValueError, TypeError, AttributeError):
            return {}

    def store_values(self, key: Mapping[str, object], values: Mapping[str, float]) -> None:
        """Store values by column under `key`."""
        self._write(f"{_name(key)}.json", json.dumps(dict(values), sort_keys=True).encode())

    def _write(self, name: str, data: bytes) -> None:
        try:
            with atomic_file(private_folder(self.folder) / name) as file:
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


def _name(key: Mapping[str, object]) -> str:
    return sha256_hex(canonical_json({**key, "torch": torch.__version__}))[:32]
