"""The files that hold grids of samples, opened with care: others may have sent them."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from gan_bench.errors import RunError

MOST_PIXELS = 10_000_000
"""A grid has less than half a million. A small file can hold far more, and sixty of them any memory."""


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """Open a PNG; its pixels are not there yet, only their number.

    Raises RunError for one that has more pixels than a grid, or is damaged, here or where the block reads it.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # MOST_PIXELS is less
            image = Image.open(path, formats=["PNG"])
        with image:
            if image.width * image.height > MOST_PIXELS:
                raise RunError(
                    f"{path}: {image.width} x {image.height} pixels are more than a grid of samples has"
                )
            yield image
    except Image.DecompressionBombError as error:
        raise RunError(f"{path}: more pixels than a grid of samples has") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise RunError(f"{path}: a picture is damaged: {error}") from error
