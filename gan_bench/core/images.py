"""Sample grids: their file names, PNG and GIF files, and opening images from untrusted folders."""

from __future__ import annotations

import contextlib
import io
import re
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gan_bench.core.errors import RunError

if TYPE_CHECKING:
    from PIL import Image

    from gan_bench.core.records import Images

MAX_PIXELS = 10_000_000
"""A grid has less than half a million pixels; a small file can decode to far more."""
GRID_FILE = re.compile(r"epoch_(\d{4,9})\.png")
MAX_FRAMES = 60
FRAME_MS = 120
LAST_FRAME_MS = 2000


def grid_name(epoch: int) -> str:
    """Return the file name of an epoch's sample grid."""
    return f"epoch_{epoch:04d}.png"


def epoch_grids(folder: Path) -> dict[int, Path]:
    """Return the sample grids of a folder by epoch, in ascending order."""
    matches = ((GRID_FILE.fullmatch(path.name), path) for path in folder.glob("epoch_*.png"))
    return dict(sorted((int(match[1]), path) for match, path in matches if match))


@contextlib.contextmanager
def open_image(path: Path) -> Iterator[Image.Image]:
    """Open a PNG whose pixels are not decoded yet.

    Raises RunError for one with more than MAX_PIXELS pixels, or a damaged one, here or where the block reads it.
    """
    from PIL import Image  # slow to import, and most commands open no image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # MAX_PIXELS is lower
            image = Image.open(path, formats=["PNG"])
        with image:
            if image.width * image.height > MAX_PIXELS:
                raise RunError(f"{path}: {image.width} x {image.height} pixels is too large for a sample grid")
            yield image
    except Image.DecompressionBombError as error:
        raise RunError(f"{path}: too many pixels for a sample grid") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise RunError(f"{path}: damaged image: {error}") from error


def is_valid_image(path: Path) -> bool:
    """Return whether a PNG's own checksums hold and it is no larger than a grid may be."""
    try:
        with open_image(path) as image:
            image.verify()
    except RunError:
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


def gif_bytes(grids: Sequence[Path]) -> bytes:
    """Return a GIF of at most 60 of the grids, evenly spaced, the first and the last among them.

    Grids that differ in size from the last one are left out. Raises RunError for a damaged or oversized image.
    """
    import numpy as np

    chosen = np.unique(np.linspace(0, len(grids) - 1, min(len(grids), MAX_FRAMES)).round().astype(int))
    frames = [_frame(grids[index]) for index in chosen]
    frames = [frame for frame in frames if frame.size == frames[-1].size]
    durations = [FRAME_MS] * (len(frames) - 1) + [LAST_FRAME_MS]
    out = io.BytesIO()
    frames[0].save(out, format="GIF", save_all=True, append_images=frames[1:], duration=durations, loop=0)
    return out.getvalue()


def _frame(path: Path) -> Image.Image:
    with open_image(path) as image:
        return image.convert("L" if image.mode == "L" else "RGB")
