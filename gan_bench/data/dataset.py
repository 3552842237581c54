"""What a data set is: two splits of uint8 images with their labels, found by name and loaded from a folder."""

from __future__ import annotations

import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import platformdirs
import torch
from torch import Tensor
from torch.nn import functional as F

from gan_bench.errors import InputError
from gan_bench.parsing import parse_path
from gan_bench.registry import Registry

Notify: TypeAlias = Callable[[str], None]

FALLBACK = "digits"
"""What `auto` takes where MNIST can't be had: it is embedded in scikit-learn."""


@dataclass(frozen=True)
class ImageData:
    """A loaded data set: images uint8 [N, C, H, W], labels int64 [N] or None, and the hash of all arrays."""

    name: str
    train: Tensor
    train_labels: Tensor | None
    test: Tensor
    test_labels: Tensor | None
    n_classes: int
    """0 where there are no labels."""
    sha256: str
    source: str

    @classmethod
    def of(
        cls,
        name: str,
        train: tuple[Tensor, Tensor | None],
        test: tuple[Tensor, Tensor | None],
        *,
        n_classes: int,
        source: str,
    ) -> ImageData:
        """Return the data set made of two (images, labels) splits, hashed."""
        sha256 = content_sha256(*train, *test)
        return cls(name, *train, *test, n_classes=n_classes, sha256=sha256, source=source)


class Dataset(ABC):
    """A data set that can be had: what is known of it without loading, and how to load it."""

    title: str
    source: str
    """Where it comes from: a paper, an address."""
    channels: int
    native_size: int
    """Height and width of its images, in pixels."""
    n_classes: int
    train_size: int
    test_size: int

    @abstractmethod
    def at_hand(self, root: Path) -> bool:
        """Return whether `load` would succeed with no network."""

    @abstractmethod
    def load(self, root: Path, *, offline: bool, notify: Notify) -> ImageData:
        """Return the data set; raise InputError, with what to do about it, where it can't be had."""


datasets: Registry[Dataset] = Registry("data set", "gan_bench.data", "gan_bench.datasets")


def default_root() -> Path:
    """Return the folder that data sets lie in: GAN_BENCH_DATA, else a folder in the user's cache.

    Raises InputError where GAN_BENCH_DATA begins with the home of nobody.
    """
    named = os.environ.get("GAN_BENCH_DATA")
    return parse_path(named, "GAN_BENCH_DATA") if named else platformdirs.user_cache_path("gan_bench") / "data"


def choose(name: str, root: Path, *, offline: bool, notify: Notify) -> str:
    """Return the name of a data set; `auto` becomes mnist where it is at hand or can be had, else digits.

    Where MNIST is missing and `offline` is false its download is really tried, under its time limit.
    Raises InputError for an unknown name.
    """
    if name != "auto":
        datasets.get(name)
        return name
    mnist = datasets.get("mnist")
    if mnist.at_hand(root):
        return "mnist"
    try:
        mnist.load(root, offline=offline, notify=notify)
    except InputError as error:
        notify(
            f"MNIST can't be had, so the small embedded data set {FALLBACK!r} is used INSTEAD: its scores are no "
            f"MNIST scores. ({error})"
        )
        return FALLBACK
    return "mnist"


def resized(images: Tensor, size: int, chunk: int = 4096) -> Tensor:
    """Return uint8 [N, C, H, W] as uint8 [N, C, size, size]: bilinear, antialiased, where it already lies.

    The very same tensor comes back when the size is right already.
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
    """Return the hash of arrays' types, shapes and values, in hex."""
    digest = hashlib.sha256()
    for array in arrays:
        if array is None:
            digest.update(b"none;")
            continue
        digest.update(f"{array.dtype}{tuple(array.shape)};".encode())
        digest.update(array.detach().cpu().contiguous().numpy().data)
    return digest.hexdigest()
