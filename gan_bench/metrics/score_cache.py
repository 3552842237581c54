"""ScoreCache: real features and reference scores on disk, keyed by everything they depend on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from gan_bench.core.errors import ReadError
from gan_bench.core.events import Notice, OnEvent
from gan_bench.core.files import atomic_file
from gan_bench.core.frozen import canonical_json, sha256_hex
from gan_bench.core.private_folder import make_private
from gan_bench.core.tensor_file import read_tensors
from gan_bench.metrics.extractors.base import weights_sha256


class ScoreCache:
    """Safetensors files in a folder with access for its owner only; missing or damaged ones are misses.

    Each file holds the key it belongs to, and the hash of its arrays: a renamed or altered one is a miss. A folder
    that is not writable disables the cache, with one notice.
    """

    def __init__(self, folder: Path, on_event: OnEvent) -> None:
        self.folder, self.on_event = folder, on_event
        self._read_only = False

    def load(self, key: Mapping[str, object]) -> dict[str, Tensor]:
        """Return the arrays stored under `key` by name; empty if there are none."""
        try:
            file = read_tensors(self._path(key))
        except ReadError:
            return {}
        arrays = {name: torch.from_numpy(array) for name, array in file.arrays.items()}
        return arrays if file.metadata == _metadata(key, arrays) else {}

    def store(self, key: Mapping[str, object], arrays: Mapping[str, Tensor]) -> None:
        """Store arrays under `key`."""
        contiguous = {name: array.contiguous() for name, array in arrays.items()}
        data = save(contiguous, metadata=_metadata(key, contiguous))
        try:
            make_private(self.folder)
            with atomic_file(self._path(key)) as file:
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

    def _path(self, key: Mapping[str, object]) -> Path:
        return self.folder / f"{sha256_hex(_text(key))[:32]}.safetensors"


def _metadata(key: Mapping[str, object], arrays: Mapping[str, Tensor]) -> dict[str, str]:
    return {"key": _text(key), "sha256": weights_sha256(arrays)}


def _text(key: Mapping[str, object]) -> str:
    return canonical_json({**key, "torch": torch.__version__})
