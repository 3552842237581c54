"""Synthetic: ten drawn shapes, made in no time, for tests; grey and in colour."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gan_bench.data.dataset import Dataset, ImageData, Notify, datasets

SIZE = 28


class Synthetic(Dataset):
    """Ten classes, one shape each, of varying place, size, brightness (and colour), on a faintly noisy ground."""

    source = "drawn by gan_bench"
    native_size = SIZE
    n_classes = 10
    train_size = 512
    test_size = 256

    def __init__(self, name: str, title: str, channels: int) -> None:
        self.name, self.title, self.channels = name, title, channels

    def at_hand(self, root: Path) -> bool:
        """Return True: the images are drawn."""
        return True

    def load(self, root: Path, *, offline: bool, notify: Notify) -> ImageData:
        """Return the data set, the same every time; `root` and the network are not touched."""
        draws = np.random.RandomState(2048)  # the one generator of NumPy whose stream never changes
        train, test = self._split(self.train_size, draws), self._split(self.test_size, draws)
        return ImageData.of(self.name, train, test, n_classes=self.n_classes, source=self.source)

    def _split(self, n: int, draws: np.random.RandomState) -> tuple[Tensor, Tensor]:
        labels = np.arange(n) % self.n_classes
        shapes = _shapes(labels, draws)
        light = draws.randint(150, 256, size=(n, self.channels, 1, 1))
        ground = draws.randint(0, 24, size=(n, self.channels, SIZE, SIZE))
        images = np.where(shapes[:, None], light, ground).astype(np.uint8)
        return torch.from_numpy(images), torch.from_numpy(labels.astype(np.int64))


def _shapes(labels: NDArray[np.int64], draws: np.random.RandomState) -> NDArray[np.bool_]:
    """Return [N, 28, 28]: where each image's shape lies; in whole numbers, the same on every machine."""
    n = len(labels)
    centre = draws.randint(11, 17, size=(2, n, 1, 1))
    radius = draws.randint(6, 10, size=(n, 1, 1))
    y = np.arange(SIZE).reshape(1, SIZE, 1) - centre[0]
    x = np.arange(SIZE).reshape(1, 1, SIZE) - centre[1]
    far, near = np.maximum(abs(x), abs(y)), np.minimum(abs(x), abs(y))
    round_ = x * x + y * y
    kinds = [
        round_ <= radius**2,
        (round_ <= radius**2) & (round_ >= (radius - 3) ** 2),
        far <= radius,
        (far <= radius) & (far >= radius - 2),
        (abs(y) <= 2) & (abs(x) <= radius),
        (abs(x) <= 2) & (abs(y) <= radius),
        (near <= 1) & (far <= radius),
        (abs(x - y) <= 2) & (far <= radius),
        (abs(x + y) <= 2) & (far <= radius),
        (far <= radius) & ((x // 3 + y // 3) % 2 == 0),
    ]
    return np.stack(kinds)[labels, np.arange(n)]


datasets.register("synthetic")(Synthetic("synthetic", "Synthetic shapes", 1))
datasets.register("synthetic-rgb")(Synthetic("synthetic-rgb", "Synthetic shapes in colour", 3))
