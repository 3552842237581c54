"""What is kept between invocations: real features and baseline scores, private, keyed by all they depend on."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from gan_bench.data.dataset import Notify
from gan_bench.data.files import private_folder, written_atomically
from gan_bench.metrics.extractors.extractor import Features


class ScoreCache:
    """Safetensors and JSON files in a folder open to its owner alone; what is torn or missing is None.

    A folder that can't be written to costs time, not the run: it is said once.
    """

    def __init__(self, folder: Path, notify: Notify) -> None:
        self.folder, self.notify = folder, notify
        self._refused = False

    def features(self, key: Mapping[str, object]) -> Features | None:
        """Return the features kept under `key`."""
        try:
            found = load((self.folder / f"{_name(key)}.safetensors").read_bytes())
            return Features(found["features"], found["logits"])
        except (OSError, KeyError, SafetensorError):
            return None

    def keep_features(self, key: Mapping[str, object], features: Features) -> None:
        """Keep features under `key`."""
        arrays = {"features": features.features.contiguous(), "logits": features.logits.contiguous()}
        self._write(f"{_name(key)}.safetensors", save(arrays))

    def numbers(self, key: Mapping[str, object]) -> dict[str, float]:
        """Return the finite numbers kept under `key`; none if there are none."""
        try:
            found = json.loads((self.folder / f"{_name(key)}.json").read_text("utf-8"))
            return {str(name): float(value) for name, value in found.items() if math.isfinite(value)}
        except (OSError, ValueError, TypeError, AttributeError):
            return {}

    def keep_numbers(self, key: Mapping[str, object], numbers: Mapping[str, float]) -> None:
        """Keep numbers under `key`."""
        self._write(f"{_name(key)}.json", json.dumps(dict(numbers), sort_keys=True).encode())

    def _write(self, name: str, data: bytes) -> None:
        try:
            with written_atomically(private_folder(self.folder) / name) as file:
                file.write(data)
        except OSError as error:
            if not self._refused:
                self.notify(
                    f"features can't be kept in {self.folder} ({error}): they are computed anew every time"
                )
            self._refused = True


def _name(key: Mapping[str, object]) -> str:
    text = json.dumps({**key, "torch": torch.__version__}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]
