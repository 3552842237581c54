"""The contract of a data set: what `load` returned is checked, and a broken rule is named with its fix."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from gan_bench.core.errors import InputError
from gan_bench.core.events import OnEvent, ignore_events
from gan_bench.data.base import Dataset, ImageData
from gan_bench.data.contract import check_data


class Small(Dataset):
    """Twelve training and six test images of 8x8 pixels, three classes."""

    title = "Small"
    source = "none"
    channels = 1
    native_size = 8
    n_classes = 3
    train_size = 12
    test_size = 6

    def is_available(self, root: Path) -> bool:
        return True

    def load(self, root: Path, *, offline: bool, on_event: OnEvent) -> ImageData:
        train, test = [
            (torch.zeros(n, 1, 8, 8, dtype=torch.uint8), torch.arange(n) % self.n_classes) for n in (12, 6)
        ]
        return ImageData.from_splits("small", train, test, n_classes=self.n_classes, source=self.source)


def data() -> ImageData:
    return Small().load(Path(), offline=True, on_event=ignore_events)


def images(*shape: int, dtype: torch.dtype = torch.uint8) -> torch.Tensor:
    return torch.zeros(shape, dtype=dtype)


def test_what_the_contract_says_is_accepted() -> None:
    loaded = data()
    assert check_data("small", Small(), loaded) is loaded


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": images(12, 1, 28, 40)}, "train images are 28x40 pixels, but must be square; crop or pad them"),
        ({"test": images(6, 1, 8, 9)}, "test images are 8x9 pixels, but must be square"),
        ({"train": images(12, 1, 16, 16)}, "train images are 16x16 pixels, but `native_size` is 8"),
        ({"train": images(12, 1, 8, 8, dtype=torch.float32)}, "torch.float32, but must be torch.uint8.*to 0..255"),
        ({"test": images(6, 1, 8, 8, dtype=torch.int64)}, "test images are torch.int64, but must be torch.uint8"),
        ({"train": images(12, 8, 8)}, r"\[12, 8, 8\], but must be \[N, C, H, W\]; .*images\[:, None\]"),
        ({"train": images(12, 8, 8, 1)}, r"`channels` is 1; .*permute\(0, 3, 1, 2\)"),
        ({"train": images(12, 3, 8, 8)}, "`channels` is 1; correct one of them"),
        ({"train": images(11, 1, 8, 8)}, "train split has 11 images, but `train_size` is 12"),
        ({"test": images(0, 1, 8, 8)}, "test split has 0 images, but `test_size` is 6"),
        ({"train": images(12, 1, 8, 8).numpy()}, "train images are ndarray, but must be a tensor"),
        ({"train_labels": torch.arange(12) % 3 + 1}, "train labels are from 1 to 3, .* = 2; subtract 1"),
        ({"test_labels": torch.arange(6) - 1}, "test labels are from -1 to 4, .*number the classes from 0"),
        ({"train_labels": torch.zeros(12)}, "labels are torch.float32, but must be a tensor of torch.int64"),
        ({"train_labels": torch.zeros(12, 3, dtype=torch.int64)}, r"labels are \[12, 3\], but must be \[12\]"),
        ({"train_labels": None}, "train labels are None, but n_classes is 3"),
        ({"n_classes": 4}, "ImageData has n_classes 4, the class 3"),
        ({"name": "other"}, "load returns one called 'other'"),
    ],
)
def test_a_broken_rule_is_named_with_its_fix(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=f"^data set 'small': .*{message}"):
        check_data("small", Small(), replace(data(), **changes))


def test_no_labels_go_with_no_classes() -> None:
    unlabelled = replace(data(), train_labels=None, test_labels=None, n_classes=0)
    declared = Small()
    declared.n_classes = 0  # type: ignore[misc]
    assert check_data("small", declared, unlabelled) is unlabelled


def test_another_type_is_named() -> None:
    with pytest.raises(InputError, match="load returns tuple, but must return an ImageData"):
        check_data("small", Small(), (1, 2))
