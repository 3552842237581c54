"""Dataset: the interface of a data set, its registry, and ImageData, a loaded one."""

from __future__ import annotations

import hashlib
import os
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from gan_bench.core.errors import InputError
from gan_bench.core.events import Notice, OnEvent
from gan_bench.core.parsing import parse_path
from gan_bench.core.private_folder import user_cache
from gan_bench.core.registry import Registry

FALLBACK = "digits"
"""The data set that `auto` resolves to without MNIST: it is embedded in scikit-learn."""


@dataclass(frozen=True)
class ImageData:
    """A loaded data set: images uint8 [N, C, H, W], labels int64 [N] or None, and the hash of all arrays."""

    name: str
    train: Tensor
    train_labels: Tensor | None
    test: Tensor
    test_labels: Tensor | None
    n_classes: int
    """0 for a data set without labels."""
    sha256: str
    source: str

    @classmethod
    def from_splits(
        cls,
        name: str,
        train: tuple[Tensor, Tensor | None],
        test: tuple[Tensor, Tensor | None],
        *,
        n_classes: int,
        source: str,
    ) -> ImageData:
        """Return a data set made of two (images, labels) splits, with their hash."""
        sha256 = content_sha256(*train, *test)
        return cls(name, *train, *test, n_classes=n_classes, sha256=sha256, source=source)


class Dataset(ABC):
    """A registered data set: metadata that is available without loading it, and how to load it."""

    title: str
    source: str
    """Its origin: a paper or an address."""
    channels: int
    native_size: int
    """Height and width of its images, in pixels."""
    n_classes: int
    train_size: int
    test_size: int
    content_sha256: str = ""
    """Hash of the loaded arrays, where the name alone does not identify them: a user's own images."""

    @abstractmethod
    def is_available(self, root: Path) -> bool:
        """Return whether `load` would succeed without a network."""

    def explain_absence(self, root: Path) -> str:
        """Return what lies in `root` that looks like the data set, and why it is not used; may be empty."""
        return ""

    @abstractmethod
    def load(self, root: Path, *, offline: bool, on_event: OnEvent) -> ImageData:
        """Return the data set, downloaded to `root` if necessary; raise InputError with a fix if unavailable."""


datasets: Registry[Dataset] = Registry("data set", "gan_bench.data", "gan_bench.datasets")


def default_root() -> Path:
    """Return the folder of the data sets: GAN_BENCH_DATA, else a folder in the user's cache.

    Raises InputError if GAN_BENCH_DATA starts with the home folder of an unknown user.
    """
    named = os.environ.get("GAN_BENCH_DATA")
    return parse_path(named, "GAN_BENCH_DATA") if named else user_cache() / "data"


def resolve_dataset(name: str, root: Path, *, offline: bool, on_event: OnEvent) -> str:
    """Return the name of a registered data set; `auto` is mnist if available or downloadable, else digits.

    For `auto`, a missing MNIST is downloaded unless `offline`, within its time limit.
    Raises InputError for an unknown name.
    """
    if name != "auto":
        datasets.get(name)
        return name
    mnist = datasets.get("mnist")
    if mnist.is_available(root):
        return "mnist"
    try:
        mnist.load(root, offline=offline, on_event=on_event)
    except InputError as error:
        on_event(
            Notice(
                f"MNIST is not available; using the embedded `{FALLBACK}` instead. "
                f"Scores are not comparable with MNIST. ({error})"
            )
        )
        return FALLBACK
    return "mnist"


def resized(images: Tensor, size: int, chunk: int = 4096) -> Tensor:
    """Return uint8 [N, C, H, W] as uint8 [N, C, size, size] on the same device: bilinear, antialiased.

    Returns `images` itself if it has that size.
    """
    if images.shape[-2:] == (size, size):
        return images
    if len(images) == 0:
        return images.new_empty((0, images.shape[1], size, size))
    parts = [
        F.interpolate(part.float(), (size, size), mode="bilinear", align_corners=False, antialias=True)
        .round_()
        .clamp_(0, 255)
        .to(torch.uint8)
        for part in (images[start : start + chunk] for start in range(0, len(images), chunk))
    ]
    return torch.cat(parts)


def content_sha256(*arrays: Tensor | None) -> str:
    """Return the hash of the dtypes, shapes and values of arrays, in hex."""
    digest = hashlib.sha256()
    for array in arrays:
        if array is None:
            digest.update(b"none;")
            continue
        digest.update(f"{array.dtype}{tuple(array.shape)};".encode())
        digest.update(array.detach().cpu().contiguous().numpy().data)
    return digest.hexdigest()
