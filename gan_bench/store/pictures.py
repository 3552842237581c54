"""The grids of samples as PNG, and the film of them as GIF."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from gan_bench.errors import RunError

if TYPE_CHECKING:
    from gan_bench.record import Images

MAX_FRAMES = 60
FRAME_MS = 120
LAST_FRAME_MS = 2000
MOST_PIXELS = 10_000_000
"""A grid has less than half a million. A small file can hold far more, and sixty of them any memory."""


def png(grid: Images) -> bytes:
    """Return a PNG of uint8 [H, W] or [H, W, 3]; raise ValueError for any other array."""
    if grid.dtype != np.uint8 or not (grid.ndim == 2 or (grid.ndim == 3 and grid.shape[2] == 3)):
        raise ValueError(f"a grid is uint8 [H, W] or [H, W, 3], not {grid.dtype} {list(grid.shape)}")
    out = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(grid)).save(out, format="PNG")
    return out.getvalue()


def gif(grids: Sequence[Path]) -> bytes:
    """Return a GIF of at most 60 of the grids, evenly chosen, the first and the last among them.

    Grids whose size is not the last one's are left out. Raises RunError for a picture that is damaged, or larger
    than any grid.
    """
    chosen = np.unique(np.linspace(0, len(grids) - 1, min(len(grids), MAX_FRAMES)).round().astype(int))
    frames = [_read(grids[index]) for index in chosen]
    frames = [frame for frame in frames if frame.size == frames[-1].size]
    durations = [FRAME_MS] * (len(frames) - 1) + [LAST_FRAME_MS]
    out = io.BytesIO()
    frames[0].save(out, format="GIF", save_all=True, append_images=frames[1:], duration=durations, loop=0)
    return out.getvalue()


def is_sound(path: Path) -> bool:
    """Say whether a PNG's own check sums hold, and it is no larger than a grid may be."""
    try:
        with _opened(path) as image:
            image.verify()
    except RunError:
        return False
    return True


def _read(path: Path) -> Image.Image:
    with _opened(path) as image:
        return image.convert("L" if image.mode == "L" else "RGB")


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """Open a PNG; its pixels are not there yet, only their number. RunError for whatever is wrong with it."""
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
