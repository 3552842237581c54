"""Sample grids: their file names, PNG and GIF files, and opening images from untrusted folders."""

from __future__ import annotations

import contextlib
import io
import re
import struct
import warnings
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from gan_bench.core.errors import ReadError, printable
from gan_bench.core.limits import MAX_IMAGE_BYTES
from gan_bench.core.reading import entries, read_bytes

if TYPE_CHECKING:
    from PIL import Image

    from gan_bench.core.records import Images

T = TypeVar("T")
MAX_PIXELS = 10_000_000
"""A grid has less than half a million pixels; a small file can decode to far more."""
GRID_FILE = re.compile(r"epoch_(\d{4,9})\.png")
PNG_ERRORS = (
    OSError, SyntaxError, ValueError, EOFError, KeyError, IndexError, TypeError, OverflowError, AttributeError,
    struct.error, zlib.error,
)  # fmt: skip
"""What Pillow raises for damaged PNG files."""
MAX_FRAMES = 60
FRAME_MS = 120
LAST_FRAME_MS = 2000


def grid_name(epoch: int) -> str:
    """Return the file name of an epoch's sample grid."""
    return f"epoch_{epoch:04d}.png"


def epoch_grids(folder: Path, *, root: Path | None = None) -> dict[int, Path]:
    """Return the sample grids of a folder by epoch, in ascending order; none where it can't be listed."""
    try:
        found = entries(folder, root=root)
    except ReadError:
        return {}
    matches = ((GRID_FILE.fullmatch(entry.name), entry.name) for entry in found)
    return dict(sorted((int(match[1]), folder / name) for match, name in matches if match))


@contextlib.contextmanager
def open_image(path: Path, *, root: Path | None = None, max_pixels: int = MAX_PIXELS) -> Iterator[Image.Image]:
    """Open a PNG whose pixels are not decoded yet.

    Raises ReadError for one with more than `max_pixels` pixels, or a damaged one, here or where the block reads
    it. With `root`, no link below it is followed.
    """
    from PIL import Image  # slow to import, and most commands open no image

    data = read_bytes(path, max_bytes=MAX_IMAGE_BYTES, root=root)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # MAX_PIXELS is lower
            image = Image.open(io.BytesIO(data), formats=["PNG"])
        with image:
            if image.width * image.height > max_pixels:
                raise ReadError(f"{path}: {image.width} x {image.height} pixels is too large for a sample grid")
            yield image
    except Image.DecompressionBombError as error:
        raise ReadError(f"{path}: too many pixels for a sample grid") from error
    except PNG_ERRORS as error:
        raise ReadError(f"{path}: damaged image: {printable(str(error))[:200]}") from error


def is_valid_image(path: Path, *, root: Path | None = None) -> bool:
    """Return whether a PNG's own checksums hold and it is no larger than a grid may be."""
    try:
        with open_image(path, root=root) as image:
            image.verify()
    except ReadError:
        return False
    return True


def png_bytes(grid: Images) -> bytes:
    """Return a PNG of uint8 [H, W] or [H, W, 3]; raise ValueError for any other array."""
    import numpy as np
    from PIL import Image

    if grid.dtype != np.uint8 or not (grid.ndim == 2 or (grid.ndim == 3 and grid.shape[2] == 3)):
        raise ValueError(f"a grid is uint8 [H, W] or [H, W, 3], not {grid.dtype} {list(grid.shape)}")
    out = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(grid)).save(out, format="PNG")
    return out.getvalue()


def evenly_spaced(values: Sequence[T], count: int) -> list[T]:
    """Return at most `count` of the values, the first and the last among them."""
    if len(values) <= count:
        return list(values)
    return [values[round(index * (len(values) - 1) / (count - 1))] for index in range(count)]


def gif_bytes(grids: Sequence[Path]) -> bytes:
    """Return a GIF of at most 60 of the grids, evenly spaced, the first and the last among them.

    Grids that differ in size from the last one are left out. Raises ReadError for a damaged or oversized image.
    """
    frames = [_frame(grid) for grid in evenly_spaced(grids, MAX_FRAMES)]
    frames = [frame for frame in frames if frame.size == frames[-1].size]
    durations = [FRAME_MS] * (len(frames) - 1) + [LAST_FRAME_MS]
    out = io.BytesIO()
    frames[0].save(out, format="GIF", save_all=True, append_images=frames[1:], duration=durations, loop=0)
    return out.getvalue()


def _frame(path: Path) -> Image.Image:
    with open_image(path, root=path.parent) as image:
        return image.convert("L" if image.mode == "L" else "RGB")
