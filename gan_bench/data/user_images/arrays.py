"""Images in .npy and .npz files: labels and splits by the names of arrays. Loads no torch."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gan_bench.core.errors import InputError, ReadError, printable
from gan_bench.core.limits import MAX_PHOTO_PIXELS, MAX_SOURCE_BYTES
from gan_bench.core.reading import open_regular, read_bytes, size_text
from gan_bench.data.user_images.files import ZIP_ERRORS
from gan_bench.data.user_images.listing import ImageFile, Listing, Split
from gan_bench.data.user_images.pixels import from_array

MAX_MEMBERS = 64
IMAGES = {
    "train": ("x_train", "train_images", "train_x", "images_train", "train"),
    "test": ("x_test", "test_images", "test_x", "images_test", "test"),
    "": ("images", "image", "x", "data", "arr_0"),
}
LABELS = {
    "train": ("y_train", "train_labels", "train_y", "labels_train"),
    "test": ("y_test", "test_labels", "test_y", "labels_test"),
    "": ("labels", "label", "y", "targets", "arr_1"),
}
"""Names that Keras, MedMNIST, guided-diffusion and NumPy give."""

AnyArray: TypeAlias = NDArray[Any]


@dataclass(frozen=True)
class Arrays:
    """Opened arrays of images by split, uint8 [N, H, W] or [N, H, W, C], with labels [N] or None."""

    splits: Mapping[str, tuple[AnyArray, AnyArray | None]]

    chunk: ClassVar[int] = 256
    is_small: ClassVar[bool] = False

    def listing(self) -> Listing:
        """Return the images by split and label; paths are `split/number`."""
        return Listing(
            [
                ImageFile(
                    f"{split}/{index}", cast(Split, split), "" if labels is None else label_text(labels[index])
                )
                for split, (images, labels) in self.splits.items()
                for index in range(len(images))
            ]
        )

    def read(self, paths: Sequence[str]) -> Iterator[Image.Image | ReadError]:
        """Yield the images."""
        for path in paths:
            split, _, index = path.partition("/")
            yield from_array(self.splits[split][0][int(index)])


def label_text(value: object) -> str:
    """Return a label as a class name that sorts like the numbers do."""
    text = str(value)
    return f"{int(text):09d}" if text.isdecimal() else text


def read_arrays(path: Path, asked: str) -> Arrays:
    """Return the images of a .npy or .npz file; raise InputError for anything else."""
    if path.suffix.lower() == ".npy":
        found = {"images": parse_npy(_content(path, asked), f"{asked}: {path.name}")}
    else:
        found = _members(path, asked)
    splits: dict[str, tuple[AnyArray, AnyArray | None]] = {}
    for split in ("train", "test", ""):
        name = next((name for name in IMAGES[split] if name in found), "")
        if name and (split or not splits):
            labels = next((found[other] for other in LABELS[split] if other in found), None)
            splits[split] = _checked(found[name], labels, f"{asked}: array {name!r}")
    if "train" in splits and "test" not in splits:
        splits = {"": splits["train"]}
    if not splits or ("test" in splits and "train" not in splits):
        names = ", ".join(map(repr, list(found)[:8])) or "none"
        raise InputError(
            f"{asked}: its arrays are {names}; name them images and labels, or x_train, y_train, x_test and y_test"
        )
    if len({labels is None for _, labels in splits.values()}) > 1:
        raise InputError(f"{asked}: one split has labels and the other has none; give both, or neither")
    return Arrays(splits)


def parse_npy(data: bytes, where: str) -> AnyArray:
    """Return the array of a .npy file; never objects, and never more values than the file holds."""
    file = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(file)
        reader = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[
            version
        ]
        shape, fortran_order, dtype = reader(file)
    except (ValueError, KeyError, EOFError, SyntaxError, TypeError, OverflowError, RecursionError):
        raise InputError(f"{where} is not a .npy array, or is damaged") from None
    if dtype.hasobject or dtype.kind not in "biufUS":
        raise InputError(f"{where} has values of type {printable(str(dtype))[:40]}; save numbers")
    start = file.tell()
    if math.prod(shape) * dtype.itemsize != len(data) - start:
        raise InputError(f"{where} is incomplete: its shape {shape} does not fit its size")
    values = np.frombuffer(data, dtype=dtype, offset=start)
    return values.reshape(shape, order="F" if fortran_order else "C")


def as_bytes(images: AnyArray, where: str) -> AnyArray:
    """Return pixels as uint8: as they are, scaled from 16 bits or from 0..1, or black and white."""
    if images.dtype == np.bool_:
        return images.astype(np.uint8) * np.uint8(255)
    if images.dtype == np.uint8:
        return images
    least, most = (images.min(), images.max()) if images.size else (0, 0)
    if images.dtype == np.uint16:
        return ((images.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if images.dtype.kind in "iu" and least >= 0 and most <= 255:
        return images.astype(np.uint8)
    if images.dtype.kind == "f" and least >= 0 and most <= 1:  # false for NaN
        return (images * 255).round().astype(np.uint8)
    raise InputError(
        f"{where} has {images.dtype} from {least:g} to {most:g}: save uint8 from 0 to 255, uint16, or 0 to 1"
    )


def _content(path: Path, asked: str) -> bytes:
    try:
        return read_bytes(path, max_bytes=MAX_SOURCE_BYTES)
    except ReadError as error:
        raise InputError(f"{asked}: {error}") from None


def _members(path: Path, asked: str) -> dict[str, AnyArray]:
    found: dict[str, AnyArray] = {}
    try:
        with open_regular(path, max_bytes=MAX_SOURCE_BYTES) as file, zipfile.ZipFile(file) as archive:
            members = [member for member in archive.infolist() if member.filename.endswith(".npy")]
            left = MAX_SOURCE_BYTES
            for member in members[:MAX_MEMBERS]:
                name = member.filename.removesuffix(".npy")
                if name not in {*sum(IMAGES.values(), ()), *sum(LABELS.values(), ())} and len(members) > 1:
                    continue
                with archive.open(member) as opened:
                    data = opened.read(left + 1)
                left -= len(data)
                if left < 0:
                    raise InputError(f"{asked}: unpacks to more than {size_text(MAX_SOURCE_BYTES)}")
                found[name if len(members) > 1 else "images"] = parse_npy(
                    data, f"{asked}: array {printable(name)!r}"
                )
    except (*ZIP_ERRORS, ReadError) as error:
        raise InputError(
            f"{asked}: {path.name} is not a valid .npz file ({printable(str(error))[:200]})"
        ) from None
    return found or dict.fromkeys((member.filename for member in members[:8]), np.zeros(0))


def _checked(images: AnyArray, labels: AnyArray | None, where: str) -> tuple[AnyArray, AnyArray | None]:
    """Return images as uint8 [N, H, W] or [N, H, W, C] and labels as [N]."""
    channels = (1, 2, 3, 4)
    if images.ndim == 4 and images.shape[3] not in channels and images.shape[1] in channels:
        images = images.transpose(0, 2, 3, 1)
    if images.dtype.kind not in "biuf" or images.ndim not in (3, 4) or 0 in images.shape[1:]:
        raise InputError(
            f"{where} is {images.dtype} {list(images.shape)}: save [N, H, W], [N, H, W, C] or [N, C, H, W]"
        )
    if images.ndim == 4 and images.shape[3] not in channels:
        raise InputError(f"{where} has the shape {list(images.shape)}: save 1 channel, 3, or 4 with alpha")
    if images.shape[1] * images.shape[2] > MAX_PHOTO_PIXELS:
        raise InputError(f"{where} has more than the {MAX_PHOTO_PIXELS:,} pixels an image that are read")
    if labels is not None:
        labels = labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels
        if labels.shape != (len(images),) or labels.dtype.kind not in "iuUSb":
            raise InputError(
                f"{where} has {len(images)} images, but labels of {labels.dtype} {list(labels.shape)}"
            )
    return as_bytes(images, where), labels
