"""Digits: 1,797 handwritten digits embedded in scikit-learn, so that no download is required."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gan_bench.core.events import OnEvent
from gan_bench.data.base import Dataset, ImageData, datasets

SPLIT_SEED = 0


class Digits(Dataset):
    """The 8x8 digits of scikit-learn in 17 grey levels, upsampled to 28x28; a fixed stratified split."""

    title = "Digits (scikit-learn)"
    source = "UCI 80, Alpaydin and Kaynak 1998"
    channels = 1
    native_size = 28
    n_classes = 10
    train_size = 1297
    test_size = 500

    def is_available(self, root: Path) -> bool:
        """Return True: the images are embedded in scikit-learn."""
        return True

    def load(self, root: Path, *, offline: bool, on_event: OnEvent) -> ImageData:
        """Return the data set; `root` and the network are not used."""
        from sklearn.datasets import load_digits
        from sklearn.model_selection import train_test_split

        bunch = load_digits()
        images = torch.from_numpy(upsampled(bunch.images.astype(np.int64)))[:, None]
        labels = torch.from_numpy(bunch.target.astype(np.int64))
        train, test = train_test_split(
            np.arange(len(labels)), test_size=self.test_size, stratify=bunch.target, random_state=SPLIT_SEED
        )

        def split(rows: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
            return images[torch.from_numpy(rows)], labels[torch.from_numpy(rows)]

        return ImageData.from_splits("digits", split(train), split(test), n_classes=10, source=self.source)


def upsampled(images: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return [N, 8, 8] of 0..16 as uint8 [N, 28, 28], bilinear.

    Computed in integers, so that the hash is the same on every machine: pixel i of 28 is at (4 i - 5) / 14 of 8,
    so every weight is a multiple of 1/14.
    """
    weights = np.zeros((28, 8), dtype=np.int64)
    for i in range(28):
        left, part = divmod(4 * i - 5, 14)
        weights[i, max(left, 0)] += 14 - part
        weights[i, min(left + 1, 7)] += part
    sums = weights @ images @ weights.T  # in units of 1/196 of 1/16
    return ((sums * 255 + 196 * 8) // (196 * 16)).astype(np.uint8)


datasets.register("digits")(Digits())
