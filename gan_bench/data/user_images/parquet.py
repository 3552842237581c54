"""Images in a Parquet file: encoded files, or arrays, in a column; classes in another. Loads no torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from gan_bench.core.errors import InputError, ReadError, first_line, printable
from gan_bench.core.limits import MAX_ENTRIES, MAX_PHOTO_BYTES, MAX_SOURCE_BYTES
from gan_bench.core.reading import open_regular, size_text
from gan_bench.data.user_images.arrays import as_bytes, label_text
from gan_bench.data.user_images.listing import ImageFile, Listing
from gan_bench.data.user_images.pixels import from_array

IMAGES = ("image", "img", "images", "pixels", "jpg", "png")
LABELS = ("label", "labels", "class", "target", "y", "fine_label")
MISSING = "Parquet files are read by pyarrow, which is not installed: pip install 'gan-bench[parquet]'"


@dataclass(frozen=True)
class Rows:
    """The column of images, and that of labels or None."""

    images: Any
    labels: Any

    chunk: ClassVar[int] = 256
    is_small: ClassVar[bool] = False

    def listing(self) -> Listing:
        """Return the images with their labels; paths are row numbers."""
        labels = [""] * len(self.images) if self.labels is None else map(label_text, self.labels.to_pylist())
        return Listing([ImageFile(str(row), "", label) for row, label in enumerate(labels)])

    def read(self, paths: Sequence[str]) -> Iterator[bytes | Image.Image | ReadError]:
        """Yield each row's image file, or its array as an image."""
        for path in paths:
            yield _image(self.images[int(path)].as_py())


def read_parquet(path: Path, asked: str) -> Rows:
    """Return the images of a Parquet file; raise InputError for anything else, or where pyarrow is missing."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise InputError(f"{asked}: {MISSING}") from None
    try:
        with open_regular(path, max_bytes=MAX_SOURCE_BYTES) as file:
            opened = parquet.ParquetFile(file)
            about = opened.metadata
            size = sum(about.row_group(group).total_byte_size for group in range(about.num_row_groups))
            if about.num_rows > MAX_ENTRIES or size > MAX_SOURCE_BYTES:
                most = f"{MAX_ENTRIES:,} rows or {size_text(MAX_SOURCE_BYTES)}"
                raise InputError(f"{asked}: has more than the {most} that are read")
            names = opened.schema_arrow.names
            image = next((name for name in IMAGES if name in names), None)
            label = next((name for name in LABELS if name in names), None)
            if image is None:
                columns = printable(", ".join(names[:8]))
                raise InputError(f"{asked}: its columns are {columns}; name that of the images `image`")
            table = opened.read(columns=[name for name in (image, label) if name])
    except (pyarrow.ArrowException, ReadError, OSError, ValueError) as error:
        raise InputError(
            f"{asked}: {path.name} is not a valid Parquet file ({printable(first_line(error))[:200]})"
        ) from None
    labels = table.column(label) if label else None
    if labels is not None and not (pyarrow.types.is_integer(labels.type) or pyarrow.types.is_string(labels.type)):
        raise InputError(f"{asked}: column {label!r} has {labels.type}; labels are whole numbers or text")
    return Rows(table.column(image), labels)


def _image(value: Any) -> bytes | Image.Image | ReadError:
    """Return a cell: the bytes of a file, a struct with them, or nested lists of pixels [H][W] or [H][W][C]."""
    if isinstance(value, dict):
        value = value.get("bytes")
    if isinstance(value, bytes):
        return value if len(value) <= MAX_PHOTO_BYTES else ReadError("is too large")
    if not isinstance(value, list):
        return ReadError("has no image, neither a file's bytes nor pixels")
    try:
        array = np.array(value)
        if array.ndim == 1 and int(len(array) ** 0.5) ** 2 == len(array):
            array = array.reshape(int(len(array) ** 0.5), -1)
        if array.ndim == 3 and array.shape[2] not in (1, 3, 4) and array.shape[0] in (1, 3, 4):
            array = array.transpose(1, 2, 0)
        return from_array(as_bytes(array, "its array"))
    except (ValueError, TypeError, InputError):
        return ReadError("has an array that is not [H][W] or [H][W][C] of pixels")
