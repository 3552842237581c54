"""The contract of a data set, checked on what `load` returned; each message is the rule and how to keep it."""

from __future__ import annotations

from typing import Any

import torch

from gan_bench.core.errors import InputError
from gan_bench.data.base import Dataset, ImageData


def check_data(name: str, declared: Dataset, data: Any) -> ImageData:
    """Return a loaded data set if it is what `declared` says; raise InputError with the broken rule otherwise."""
    if not isinstance(data, ImageData):
        raise InputError(
            f"data set {name!r}: load returns {type(data).__name__}, but must return an ImageData; "
            "end it with ImageData.from_splits(...)"
        )
    if data.name != name:
        raise InputError(
            f"data set {name!r}: load returns one called {data.name!r}; give ImageData the registered name"
        )
    if data.n_classes != declared.n_classes:
        raise InputError(
            f"data set {name!r}: ImageData has n_classes {data.n_classes}, the class {declared.n_classes}; "
            "give both the number of classes, or 0 without labels"
        )
    for split, images, labels, size in (
        ("train", data.train, data.train_labels, declared.train_size),
        ("test", data.test, data.test_labels, declared.test_size),
    ):
        fault = _fault_of_images(images, declared, split, size) or _fault_of_labels(
            labels, len(images), data.n_classes
        )
        if fault:
            raise InputError(f"data set {name!r}: its {split} {fault}")
    return data


def _fault_of_images(images: Any, declared: Dataset, split: str, size: int) -> str:
    """Return which rule the images break, and the fix; empty if they break none."""
    if not isinstance(images, torch.Tensor):
        return f"images are {type(images).__name__}, but must be a tensor; convert them with torch.from_numpy"
    shape = list(images.shape)
    if images.dtype != torch.uint8:
        fix = "scale them to 0..255, round, and convert with .to(torch.uint8)"
        return f"images are {images.dtype}, but must be torch.uint8 from 0 to 255; {fix}"
    if len(shape) != 4:
        fix = "add the axis of the channels with images[:, None]" if len(shape) == 3 else "reshape them"
        return f"images are {shape}, but must be [N, C, H, W]; {fix}"
    if shape[1] != declared.channels:
        last = shape[3] == declared.channels
        fix = "move the channels forward with images.permute(0, 3, 1, 2)" if last else "correct one of them"
        return f"images are {shape}, [N, C, H, W], but `channels` is {declared.channels}; {fix}"
    if shape[2] != shape[3]:
        return f"images are {shape[2]}x{shape[3]} pixels, but must be square; crop or pad them in load"
    if shape[2] != declared.native_size:
        return (
            f"images are {shape[2]}x{shape[3]} pixels, but `native_size` is {declared.native_size}; "
            "correct one of them"
        )
    if not size or shape[0] != size:
        return f"split has {shape[0]} images, but `{split}_size` is {size}; correct one of them (neither may be 0)"
    return ""


def _fault_of_labels(labels: Any, count: int, n_classes: int) -> str:
    """Return which rule the labels break, and the fix; empty if they break none."""
    if labels is None and n_classes == 0:
        return ""
    if labels is None:
        return f"labels are None, but n_classes is {n_classes}; return labels, or give n_classes=0"
    if not isinstance(labels, torch.Tensor) or labels.dtype != torch.int64:
        found = labels.dtype if isinstance(labels, torch.Tensor) else type(labels).__name__
        return f"labels are {found}, but must be a tensor of torch.int64; convert them with .long()"
    if labels.shape != (count,):
        return f"labels are {list(labels.shape)}, but must be [{count}], one number per image"
    least, most = int(labels.min()), int(labels.max())
    if least < 0 or most >= n_classes:
        fix = "subtract 1" if (least, most) == (1, n_classes) else "number the classes from 0"
        return f"labels are from {least} to {most}, but must be from 0 to n_classes - 1 = {n_classes - 1}; {fix}"
    return ""
