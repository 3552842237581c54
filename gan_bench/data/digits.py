"""Digits: 1,797 small handwritten digits that come with scikit-learn, so that they are always at hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gan_bench.data.dataset import Dataset, ImageData, Notify, datasets

SPLIT_SEED = 0


class Digits(Dataset):
    """The 8x8 digits of scikit-learn in 17 greys, enlarged once to 28x28; a fixed stratified split."""

    title = "Digits (scikit-learn)"
    source = "UCI 80, Alpaydin and Kaynak 1998"
    channels = 1
    native_size = 28
    n_classes = 10
    train_size = 1297
    test_size = 500

    def at_hand(self, root: Path) -> bool:
        """Return True: the images are embedded in scikit-learn."""
        return True

    def load(self, root: Path, *, offline: bool, notify: Notify) -> ImageData:
        """Return the data set; `root` and the network are not touched."""
        from sklearn.datasets import load_digits
        from sklearn.model_selection import train_test_split

        bunch = load_digits()
        images = torch.from_numpy(enlarged(bunch.images.astype(np.int64)))[:, None]
        labels = torch.from_numpy(bunch.target.astype(np.int64))
        train, test = train_test_split(
            np.arange(len(labels)), test_size=self.test_size, stratify=bunch.target, random_state=SPLIT_SEED
        )

        def split(rows: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
            return images[torch.from_numpy(rows)], labels[torch.from_numpy(rows)]

        return ImageData.of("digits", split(train), split(test), n_classes=10, source=self.source)


def enlarged(images: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return [N, 8, 8] of 0..16 as uint8 [N, 28, 28], bilinear.

    In whole numbers, so that the content's hash is the same on every machine: pixel i of 28 lies at
    (4 i - 5) / 14 of 8, which makes every weight a multiple of 1/14.
    """
    weights = np.zeros((28, 8), dtype=np.int64)
    for i in range(28):
        left, part = divmod(4 * i - 5, 14)
        weights[i, max(left, 0)] += 14 - part
        weights[i, min(left + 1, 7)] += part
    sums = weights @ images @ weights.T  # in units of 1/196 of 1/16
    return ((sums * 255 + 196 * 8) // (196 * 16)).astype(np.uint8)


datasets.register("digits")(Digits())
