"""Data sets in MNIST's format: IDX files, decoded in memory, so that a read-only folder suffices."""

from __future__ import annotations

import math
import time
from abc import abstractmethod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gan_bench.core.decoding import gunzip
from gan_bench.core.errors import InputError, ReadError
from gan_bench.core.events import OnEvent
from gan_bench.core.limits import MAX_ARCHIVE_BYTES
from gan_bench.core.reading import read_bytes
from gan_bench.data.archive_search import CONTENTS, GZIP_MAGIC, Search, search, walk
from gan_bench.data.base import Dataset, ImageData
from gan_bench.data.download import fetch

MAX_RANK = 4
ALTERNATIVE = "or --dataset digits, which needs no download"
SYSTEM_FOLDERS = {"FashionMNIST": (Path("/usr/share/datasets/fashion-mnist"),)}
"""Where Debian's package dataset-fashion-mnist installs the files."""
PACKAGES = {"FashionMNIST": "; on Debian and Ubuntu: apt-get install dataset-fashion-mnist"}


class Archives(Dataset):
    """A data set in archives that are known by their content, anywhere below the data root, or downloaded.

    URLs and MD5 checksums are torchvision's.
    """

    limit_seconds = 120.0
    """Time limit of the download of all missing archives."""

    def __init__(self, name: str, torchvision_class: str, title: str, source: str) -> None:
        self.name, self.torchvision_class = name, torchvision_class
        self.title, self.source = title, source

    def folder(self, root: Path) -> Path:
        """Return the folder below `root` that archives are downloaded to."""
        return root / self.torchvision_class / "raw"

    @abstractmethod
    def resources(self) -> list[tuple[str, str]]:
        """Return the archives' file names and MD5 checksums."""

    @abstractmethod
    def mirrors(self) -> list[str]:
        """Return the base URLs, to which a file name is appended."""

    def is_available(self, root: Path) -> bool:
        """Return whether every file is found with the right content."""
        if not any(next(walk(place), None) for place in self.places(root)):
            return False  # torchvision, which has the checksums, is slow to import
        return len(self.search(root).found) == len(self.resources())

    def places(self, root: Path) -> list[Path]:
        """Return the folders that are searched: the data root, and where system packages install the files."""
        return [root, *SYSTEM_FOLDERS.get(self.torchvision_class, ())]

    def search(self, root: Path) -> Search:
        """Return where the files are, whatever their layout and wrapping."""
        known = CONTENTS.get(self.torchvision_class, {})
        return search(self.places(root), self.folder(root), dict(self.resources()), known)

    def explain_absence(self, root: Path) -> str:
        """Return which files of these names were seen, and why they were not taken."""
        return self.search(root).seen()

    def locate(self, root: Path, *, offline: bool, on_event: OnEvent) -> list[Path]:
        """Return the path of every file; download missing ones, and raise InputError for unavailable ones."""
        folder, deadline = self.folder(root), time.monotonic() + self.limit_seconds
        names = [name for name, _ in self.resources()]
        wanted = folder.relative_to(root) / ("*.gz" if len(names) > 2 else names[0])
        hint = f"give --data-root FOLDER with {wanted}, {ALTERNATIVE}"
        found = self.search(root)
        seen = f" (seen: {found.seen()})" if found.rejected else ""
        for name, md5 in self.resources():
            path = folder / name
            if name in found.found:
                continue
            if path in found.rejected:
                raise InputError(f"{path} {found.rejected[path]}, {hint}")
            if offline:
                raise InputError(
                    f"{self.title} is not available: {path} is missing and "
                    f"--offline or --dry-run was given{seen}; {hint}{PACKAGES.get(self.torchvision_class, '')}"
                )
            urls = [mirror + name for mirror in self.mirrors()]
            fetch(urls, path, f"md5:{md5}", deadline=deadline, hint=hint, on_event=on_event)
            found.found[name] = path
        return [found.found[name] for name, _ in self.resources()]


class MnistArchives(Archives):
    """Four IDX files; downloaded to ROOT/<Class>/raw."""

    channels = 1
    native_size = 28
    n_classes = 10
    train_size = 60_000
    test_size = 10_000

    def resources(self) -> list[tuple[str, str]]:
        """Return (file name, MD5) of training images and labels, test images and labels."""
        return [(name, md5) for name, md5 in torchvision_dataset(self.torchvision_class).resources]

    def mirrors(self) -> list[str]:
        """Return the base URLs, to which a file name is appended."""
        return list(torchvision_dataset(self.torchvision_class).mirrors)

    def load(self, root: Path, *, offline: bool, on_event: OnEvent) -> ImageData:
        """Return the data set from its archives; download missing ones unless `offline`."""
        paths = self.locate(root, offline=offline, on_event=on_event)
        return image_data(self, self.name, [read_idx(read_archive(path), path.name) for path in paths])


def read_archive(path: Path) -> bytes:
    """Return the content of an archive; raise InputError."""
    try:
        return read_bytes(path, max_bytes=MAX_ARCHIVE_BYTES)
    except ReadError as error:
        raise InputError(f"{error}; {ALTERNATIVE}") from error


def image_data(dataset: Dataset, name: str, arrays: list[Tensor]) -> ImageData:
    """Return the ImageData of training images and labels, test images and labels as IDX files store them."""
    train, train_labels, test, test_labels = arrays
    return ImageData.from_splits(
        name,
        (train[:, None].contiguous(), train_labels.long()),
        (test[:, None].contiguous(), test_labels.long()),
        n_classes=dataset.n_classes,
        source=dataset.source,
    )


def read_idx(packed: bytes, name: str) -> Tensor:
    """Return the uint8 array of an IDX file, gzipped or not: two zero bytes, type 8, rank, sizes, values."""
    try:
        raw = gunzip(packed, name, max_bytes=MAX_ARCHIVE_BYTES) if packed.startswith(GZIP_MAGIC) else packed
    except ReadError as error:
        raise InputError(f"{error}: delete it to download it again") from None
    rank = raw[3] if len(raw) >= 4 else 0
    start = 4 + 4 * rank
    sizes = np.frombuffer(raw[4:start], dtype=">u4") if len(raw) >= start else np.zeros(0, dtype=">u4")
    count = math.prod(int(size) for size in sizes)
    if raw[:3] != b"\0\0\x08" or not 1 <= rank <= MAX_RANK or len(sizes) != rank or len(raw) - start != count:
        raise InputError(f"{name} is not an IDX file of bytes: delete it to download it again")
    values = np.frombuffer(raw, dtype=np.uint8, offset=start).reshape([int(size) for size in sizes])
    return torch.from_numpy(values.copy())


def torchvision_dataset(name: str) -> Any:
    """Return a data-set class of torchvision; raise InputError where torchvision can't be imported."""
    try:
        import torchvision.datasets
    except (RuntimeError, ImportError, OSError) as error:
        raise InputError(torchvision_error(error)) from None
    return getattr(torchvision.datasets, name)


def torchvision_error(error: Exception) -> str:
    """Return the message for a failed import of torchvision, usually a build for another torch version."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        installed = version("torchvision")
    except PackageNotFoundError:
        return "torchvision is not installed: pip install torchvision"
    return (
        f"torchvision {installed} is incompatible with torch {torch.__version__} ({error}): they are different "
        "builds; install both from one index: pip install --force-reinstall torch torchvision"
    )
