"""CIFAR-10: 50,000 and 10,000 photographs in ten classes, 32x32, RGB."""

from __future__ import annotations

import hashlib
import io
import pickletools
import tarfile
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gan_bench.core.errors import InputError
from gan_bench.core.events import OnEvent
from gan_bench.core.limits import MAX_ARCHIVE_BYTES
from gan_bench.data.archive_search import Search, search
from gan_bench.data.archives import Archives, read_archive, torchvision_dataset
from gan_bench.data.base import ImageData, datasets

FOLDER = "cifar-10-batches-py"


class Cifar10(Archives):
    """The archive cifar-10-python.tar.gz, or the six files of its folder cifar-10-batches-py.

    The files are pickles, which are never unpickled: pixels and labels are found among their opcodes.
    """

    channels = 3
    native_size = 32
    n_classes = 10
    train_size = 50_000
    test_size = 10_000
    limit_seconds = 1200.0

    def folder(self, root: Path) -> Path:
        """Return the data root itself, as torchvision does."""
        return root

    def resources(self) -> list[tuple[str, str]]:
        """Return the archive's name and MD5."""
        reader = torchvision_dataset("CIFAR10")
        return [(reader.filename, reader.tgz_md5)]

    def batches(self) -> list[tuple[str, str]]:
        """Return the names and MD5 checksums of the batches; the last one has the test images."""
        reader = torchvision_dataset("CIFAR10")
        return [(name, md5) for name, md5 in (*reader.train_list, *reader.test_list)]

    def mirrors(self) -> list[str]:
        """Return the base URL of the archive."""
        reader = torchvision_dataset("CIFAR10")
        return [reader.url.removesuffix(reader.filename)]

    def search(self, root: Path) -> Search:
        """Return where the archive is; without it, where the batches are."""
        archive = super().search(root)
        batches = search(self.places(root), root / FOLDER, dict(self.batches()), {})
        if archive.found or len(batches.found) < len(self.batches()):
            return Search(archive.found, {**archive.rejected, **batches.rejected})
        return Search({self.resources()[0][0]: next(iter(batches.found.values())).parent})

    def load(self, root: Path, *, offline: bool, on_event: OnEvent) -> ImageData:
        """Return the data set from its archive or its batches; download the archive unless `offline`."""
        [path] = self.locate(root, offline=offline, on_event=on_event)
        parts = [read_batch(data, name) for name, data in self._contents(path).items()]
        images, labels = torch.cat([part[0] for part in parts[:-1]]), torch.cat([part[1] for part in parts[:-1]])
        return ImageData.from_splits(
            self.name, (images, labels), parts[-1], n_classes=self.n_classes, source=self.source
        )

    def _contents(self, path: Path) -> dict[str, bytes]:
        """Return the verified content of each batch."""
        if path.is_dir():
            contents = {name: read_archive(path / name) for name, _ in self.batches()}
        else:
            try:
                with tarfile.open(fileobj=io.BytesIO(read_archive(path)), mode="r:gz") as archive:
                    contents = {name: _member(archive, f"{FOLDER}/{name}") for name, _ in self.batches()}
            except (tarfile.TarError, OSError, EOFError, KeyError, zlib.error) as error:
                raise InputError(f"{path} is damaged ({error}): delete it to download it again") from None
        for name, md5 in self.batches():
            if hashlib.md5(contents[name], usedforsecurity=False).hexdigest() != md5:
                raise InputError(f"{path}: {name} is damaged: delete it to download it again")
        return contents


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    if file is None:
        raise KeyError(f"{name} is not a file")
    return file.read(MAX_ARCHIVE_BYTES)


def read_batch(data: bytes, name: str) -> tuple[Tensor, Tensor]:
    """Return images uint8 [N, 3, 32, 32] and labels int64 [N] of a batch; raise InputError for anything else.

    The longest text holds the pixels; the numbers between the text `labels` and the next text are the labels.
    """
    pixels, labels, in_labels = b"", [], False
    try:
        for _, argument, _ in pickletools.genops(data):
            if isinstance(argument, str | bytes):
                value = argument.encode("latin-1") if isinstance(argument, str) else argument
                pixels, in_labels = max(pixels, value, key=len), value == b"labels"
            elif in_labels and isinstance(argument, int):
                labels.append(argument)
        images = np.frombuffer(pixels, np.uint8).reshape(-1, 3, 32, 32)
        if len(images) != len(labels) or not labels:
            raise ValueError(f"{len(images)} images, {len(labels)} labels")
    except (ValueError, UnicodeEncodeError, IndexError) as error:
        raise InputError(f"{name} is not a batch of CIFAR-10 ({error})") from None
    return torch.from_numpy(images.copy()), torch.tensor(labels)


datasets.register("cifar10")(Cifar10("cifar10", "CIFAR10", "CIFAR-10", "Krizhevsky 2009"))
