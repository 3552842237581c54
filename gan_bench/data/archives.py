"""The family of MNIST: gzipped IDX archives, decoded in memory, so that a read-only folder will do."""

from __future__ import annotations

import gzip
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gan_bench.data.dataset import Dataset, ImageData, Notify
from gan_bench.data.download import fetch, file_md5
from gan_bench.errors import InputError

OTHER_WAYS = "or --dataset digits, which needs no download"


class MnistArchives(Dataset):
    """Four archives in the layout of torchvision (ROOT/<Folder>/raw), with its addresses and its MD5 sums."""

    channels = 1
    native_size = 28
    n_classes = 10
    train_size = 60_000
    test_size = 10_000
    limit_seconds = 120.0
    """For the download of all that is missing."""

    def __init__(self, name: str, torchvision_class: str, title: str, source: str) -> None:
        self.name, self.torchvision_class = name, torchvision_class
        self.title, self.source = title, source

    def folder(self, root: Path) -> Path:
        """Return where the archives lie under `root`."""
        return root / self.torchvision_class / "raw"

    def resources(self) -> list[tuple[str, str]]:
        """Return (file name, MD5) of training images and labels, test images and labels."""
        return [(name, md5) for name, md5 in torchvision_dataset(self.torchvision_class).resources]

    def mirrors(self) -> list[str]:
        """Return the addresses that a file's name is put behind."""
        return list(torchvision_dataset(self.torchvision_class).mirrors)

    def at_hand(self, root: Path) -> bool:
        """Return whether every archive is there with the right content."""
        folder = self.folder(root)
        if not folder.is_dir():  # said before torchvision, slow to import, is asked for its sums
            return False
        return all(file_md5(folder / name) == md5 for name, md5 in self.resources())

    def load(self, root: Path, *, offline: bool, notify: Notify) -> ImageData:
        """Return the data set from its archives, downloading those that are missing unless `offline`."""
        self.complete(root, offline=offline, notify=notify)
        arrays = [read_idx((self.folder(root) / name).read_bytes(), name) for name, _ in self.resources()]
        return image_data(self, self.name, arrays)

    def complete(self, root: Path, *, offline: bool, notify: Notify) -> None:
        """See to it that every archive is there with the right content; raise InputError otherwise."""
        folder, deadline = self.folder(root), time.monotonic() + self.limit_seconds
        wanted = f"{self.torchvision_class}/raw/{'*.gz' if len(self.resources()) > 1 else self.resources()[0][0]}"
        advice = f"give --data-root FOLDER with {wanted}, {OTHER_WAYS}"
        for name, md5 in self.resources():
            path = folder / name
            found = file_md5(path)
            if found == md5:
                continue
            if found is not None:
                raise InputError(
                    f"{path} is damaged (its MD5 is {found}, not {md5}): delete it to download it again, {advice}"
                )
            if path.exists():
                raise InputError(f"{path} can't be read: see to its permissions, {advice}")
            if offline:
                raise InputError(
                    f"{self.title} is not at hand, {path} is missing, and --offline was given: {advice}"
                )
            urls = [mirror + name for mirror in self.mirrors()]
            fetch(urls, path, f"md5:{md5}", deadline=deadline, advice=advice, notify=notify)


def image_data(dataset: Dataset, name: str, arrays: list[Tensor]) -> ImageData:
    """Return the ImageData of training images and labels, test images and labels as they stand in IDX files."""
    train, train_labels, test, test_labels = arrays
    return ImageData.of(
        name,
        (train[:, None].contiguous(), train_labels.long()),
        (test[:, None].contiguous(), test_labels.long()),
        n_classes=dataset.n_classes,
        source=dataset.source,
    )


def read_idx(packed: bytes, name: str) -> Tensor:
    """Return the uint8 array of a gzipped IDX file: two zero bytes, type 8, number of sizes, sizes, values."""
    try:
        raw = gzip.decompress(packed)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{name} can't be unpacked ({error}): delete it and fetch it again") from None
    rank = raw[3] if len(raw) >= 4 else 0
    start = 4 + 4 * rank
    sizes = np.frombuffer(raw[4:start], dtype=">u4") if len(raw) >= start else np.zeros(0, dtype=">u4")
    if raw[:3] != b"\0\0\x08" or len(sizes) != rank or len(raw) - start != int(np.prod(sizes)):
        raise InputError(f"{name} is no IDX file of bytes: delete it and fetch it again")
    values = np.frombuffer(raw, dtype=np.uint8, offset=start).reshape([int(size) for size in sizes])
    return torch.from_numpy(values.copy())


def torchvision_dataset(name: str) -> Any:
    """Return a data-set class of torchvision; raise InputError where torchvision and torch disagree."""
    try:
        import torchvision.datasets
    except (RuntimeError, ImportError, OSError) as error:
        raise InputError(torchvision_trouble(error)) from None
    return getattr(torchvision.datasets, name)


def torchvision_trouble(error: Exception) -> str:
    """Return what to say when torchvision can't be imported: mostly, it was built for another torch."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        found = version("torchvision")
    except PackageNotFoundError:
        return "torchvision is not installed: pip install torchvision"
    return (
        f"torchvision {found} does not work with torch {torch.__version__} ({error}): they come from different "
        "builds; install both together, from one index, such as pip install --force-reinstall torch torchvision"
    )
