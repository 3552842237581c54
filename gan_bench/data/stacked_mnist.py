"""Stacked MNIST: three digits of MNIST as red, green and blue; 1,000 classes, to count modes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gan_bench.core.errors import InputError
from gan_bench.core.events import OnEvent
from gan_bench.data.base import Dataset, ImageData, datasets

SEED = 0
CHANNELS = 3


class StackedMnist(Dataset):
    """As many images as MNIST has in each split; each channel is a permutation of them, with a fixed seed.

    The label is the number of three digits, the red one first.
    """

    title = "Stacked MNIST"
    source = "arXiv 1611.02163, made from MNIST"
    channels = CHANNELS
    native_size = 28
    n_classes = 1000
    train_size = 60_000
    test_size = 10_000

    def is_available(self, root: Path) -> bool:
        """Return whether MNIST is."""
        return datasets.get("mnist").is_available(root)

    def explain_absence(self, root: Path) -> str:
        """Return what lies in `root` instead of MNIST."""
        return datasets.get("mnist").explain_absence(root)

    def load(self, root: Path, *, offline: bool, on_event: OnEvent) -> ImageData:
        """Return the data set, made from MNIST, which is downloaded if necessary."""
        try:
            mnist = datasets.get("mnist").load(root, offline=offline, on_event=on_event)
        except InputError as error:
            raise InputError(f"stacked-mnist is made from MNIST: {error}") from None
        assert mnist.train_labels is not None
        assert mnist.test_labels is not None
        rng = np.random.RandomState(SEED)  # the only generator of NumPy with a frozen stream
        train = stack(mnist.train, mnist.train_labels, rng)
        test = stack(mnist.test, mnist.test_labels, rng)
        return ImageData.from_splits("stacked-mnist", train, test, n_classes=self.n_classes, source=self.source)


def stack(images: Tensor, labels: Tensor, rng: np.random.RandomState) -> tuple[Tensor, Tensor]:
    """Return [N, 3, H, W] and labels from 0 to 999, made of [N, 1, H, W] and digits."""
    orders = [torch.from_numpy(rng.permutation(len(images))) for _ in range(CHANNELS)]
    digits = [labels[order] for order in orders]
    return torch.cat([images[order] for order in orders], dim=1), 100 * digits[0] + 10 * digits[1] + digits[2]


datasets.register("stacked-mnist")(StackedMnist())
