"""The grids of samples as PNG, and the film of them as GIF."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from gan_bench.errors import RunError
from gan_bench.grids import opened

if TYPE_CHECKING:
    from gan_bench.record import Images

MAX_FRAMES = 60
FRAME_MS = 120
LAST_FRAME_MS = 2000


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
        with opened(path) as image:
            image.verify()
    except RunError:
        return False
    return True


def _read(path: Path) -> Image.Image:
    with opened(path) as image:
        return image.convert("L" if image.mode == "L" else "RGB")
