"""Decoded images on disk: safetensors, verified by the hash of the arrays and by the key that they belong to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import PIL
import torch
from safetensors.torch import save
from torch import Tensor

from gan_bench.core.cache_folder import trusted_cache
from gan_bench.core.decoding import parse_json
from gan_bench.core.errors import ReadError
from gan_bench.core.events import Notice, OnEvent
from gan_bench.core.files import atomic_file
from gan_bench.core.frozen import canonical_json, sha256_hex
from gan_bench.core.private_folder import make_private, user_cache
from gan_bench.core.tensor_file import read_tensors
from gan_bench.data.base import content_sha256

VERSION = 1
"""Of the rules by which images are decoded and split: another one decodes again."""


@dataclass(frozen=True)
class CachedImages:
    """Decoded splits, uint8 [N, C, side, side], with labels int64 [N] or None, and facts about them."""

    train: Tensor
    train_labels: Tensor | None
    test: Tensor
    test_labels: Tensor | None
    facts: Mapping[str, Any]
    sha256: str = ""

    def with_hash(self) -> CachedImages:
        """Return a copy with the hash of all arrays."""
        return replace(self, sha256=content_sha256(self.train, self.train_labels, self.test, self.test_labels))


class ImageCache:
    """One file a set of images; a missing, damaged or foreign one is a miss.

    With `read_only` nothing is written, as for a dry run; a folder that is not writable emits a notice.
    """

    def __init__(self, folder: Path | None, on_event: OnEvent, *, read_only: bool) -> None:
        self.folder = trusted_cache(folder, user_cache(), on_event) / "images"
        self.on_event, self.read_only = on_event, read_only

    def load(self, key: Mapping[str, object]) -> CachedImages | None:
        """Return the images stored under `key`, or None."""
        try:
            file = read_tensors(self._path(key))
            if file.metadata.get("key") != _text(key):
                return None
            facts = parse_json(file.metadata.get("facts", "").encode(), "facts")
        except ReadError:
            return None
        arrays = {name: torch.from_numpy(array) for name, array in file.arrays.items()}
        if not {"train", "test"} <= arrays.keys() or not isinstance(facts, dict):
            return None
        found = CachedImages(
            arrays["train"], arrays.get("train_labels"), arrays["test"], arrays.get("test_labels"), facts
        ).with_hash()
        return found if found.sha256 == file.metadata.get("sha256") else None

    def store(self, key: Mapping[str, object], images: CachedImages) -> None:
        """Store images under `key`."""
        if self.read_only:
            return
        arrays = {"train": images.train, "test": images.test}
        if images.train_labels is not None and images.test_labels is not None:
            arrays |= {"train_labels": images.train_labels, "test_labels": images.test_labels}
        metadata = {"key": _text(key), "sha256": images.sha256, "facts": canonical_json(dict(images.facts))}
        try:
            make_private(self.folder)
            with atomic_file(self._path(key)) as file:
                file.write(save(arrays, metadata=metadata))
        except OSError as error:
            self.on_event(
                Notice(f"The cache folder {self.folder} is not writable ({error}); images are decoded each time.")
            )

    def _path(self, key: Mapping[str, object]) -> Path:
        return self.folder / f"{sha256_hex(_text(key))[:32]}.safetensors"


def _text(key: Mapping[str, object]) -> str:
    return canonical_json({**key, "version": VERSION, "pillow": PIL.__version__})
