"""SVHN: 73,257 and 26,032 photographs of house numbers' digits, 32x32, RGB."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gan_bench.core.errors import InputError
from gan_bench.core.events import OnEvent
from gan_bench.data.archives import Archives, read_archive, torchvision_dataset
from gan_bench.data.base import ImageData, datasets

SPLITS = ("train", "test")


class Svhn(Archives):
    """The cropped digits: train_32x32.mat and test_32x32.mat."""

    channels = 3
    native_size = 32
    n_classes = 10
    train_size = 73_257
    test_size = 26_032
    limit_seconds = 1200.0

    def folder(self, root: Path) -> Path:
        """Return ROOT/svhn."""
        return root / "svhn"

    def resources(self) -> list[tuple[str, str]]:
        """Return the names and MD5 checksums of both files."""
        listed = torchvision_dataset("SVHN").split_list
        return [(listed[split][1], listed[split][2]) for split in SPLITS]

    def mirrors(self) -> list[str]:
        """Return the base URL of both files."""
        url, name, _ = torchvision_dataset("SVHN").split_list["train"]
        return [url.removesuffix(name)]

    def load(self, root: Path, *, offline: bool, on_event: OnEvent) -> ImageData:
        """Return the data set; download missing files unless `offline`."""
        paths = self.locate(root, offline=offline, on_event=on_event)
        train, test = (read_mat(read_archive(path), path.name) for path in paths)
        return ImageData.from_splits(self.name, train, test, n_classes=self.n_classes, source=self.source)


def read_mat(data: bytes, name: str) -> tuple[Tensor, Tensor]:
    """Return images uint8 [N, 3, 32, 32] and labels int64 [N], the digit itself; raise InputError."""
    from scipy.io import loadmat

    try:
        arrays = loadmat(io.BytesIO(data), variable_names=["X", "y"])
        images = np.ascontiguousarray(arrays["X"].transpose(3, 2, 0, 1), dtype=np.uint8)
        labels = torch.from_numpy(arrays["y"].astype(np.int64).reshape(len(images)))
    except Exception as error:  # SciPy raises anything for damaged files
        raise InputError(f"{name} is not a file of SVHN ({error})") from None
    return torch.from_numpy(images), labels % 10  # the digit 0 is stored as 10


datasets.register("svhn")(Svhn("svhn", "SVHN", "SVHN", "Netzer et al. 2011"))
