"""Images that generated ones are compared with: the reference split, the other split, and uniform noise."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from gan_bench.core.option_fields import Split
from gan_bench.data.base import ImageData, resized
from gan_bench.metrics.fidelity import SEED

MAX_HELD_OUT = 2000


class ReferenceImages:
    """Fixed random subsets of both splits, and noise; uint8 [N, C, H, W] of the native size.

    `n_fake` is the number of generated images: `samples`, or the training images where there are fewer.
    `n_real` is the number of real images: `samples`, or the images of the reference split where there are fewer.
    `n_other` is the number of images of the other split that the real-data reference is computed on: `n_fake`, or
    the images of that split where there are fewer. `n_held_out` is the number of images of the test split that are
    compared with the training images.
    """

    def __init__(self, data: ImageData, split: Split, samples: int) -> None:
        self._data = data
        self._split, self._other_split = (data.test, data.train) if split == "test" else (data.train, data.test)
        labels = (data.test_labels, data.train_labels)
        self._labels, self._other_labels = labels if split == "test" else labels[::-1]
        self.size: int = data.test.shape[-1]
        self.n_fake = min(samples, len(data.train))
        self.n_real = min(samples, len(self._split))
        self.n_other = min(self.n_fake, len(self._other_split))
        self.n_held_out = min(MAX_HELD_OUT, len(data.test))

    def real(self) -> Tensor:
        """Return images of the reference split, [n_real, C, H, W]."""
        return resized(self._split[subset(len(self._split), self.n_real)], self.size)

    def other(self) -> Tensor:
        """Return images of the other split, [n_other, C, H, W]."""
        return resized(self._other_split[subset(len(self._other_split), self.n_other)], self.size)

    def real_labels(self) -> Tensor:
        """Return the labels of `real`, int64 [n_real]; the data set must have labels."""
        assert self._labels is not None
        return self._labels[subset(len(self._split), self.n_real)]

    def other_labels(self) -> Tensor:
        """Return the labels of `other`, int64 [n_other]; the data set must have labels."""
        assert self._other_labels is not None
        return self._other_labels[subset(len(self._other_split), self.n_other)]

    def train(self) -> Tensor:
        """Return all training images, [N, C, H, W]."""
        return resized(self._data.train, self.size)

    def held_out(self) -> Tensor:
        """Return images of the test split, [n_held_out, C, H, W]."""
        return resized(self._data.test[subset(len(self._data.test), self.n_held_out)], self.size)

    def noise(self) -> Tensor:
        """Return uniform noise, [n_fake, C, H, W]."""
        shape = (self.n_fake, self._split.shape[1], self.size, self.size)
        return torch.from_numpy(np.random.RandomState(SEED).randint(0, 256, size=shape, dtype=np.uint8))


def subset(n: int, k: int) -> Tensor:
    """Return k of n indices, random but fixed: MNIST's test images are not in random order."""
    return torch.from_numpy(np.random.RandomState(SEED).permutation(n)[:k])
