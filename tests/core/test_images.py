"""Sample grids: names, PNG and GIF files, damaged and oversized images."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageSequence

from gan_bench.core.errors import RunError
from gan_bench.core.images import (
    MAX_FRAMES,
    MAX_PIXELS,
    epoch_grids,
    gif_bytes,
    grid_name,
    is_valid_image,
    open_image,
    png_bytes,
)


def save_png(path: Path, width: int, height: int) -> bytes:
    out = io.BytesIO()
    Image.new("1", (width, height)).save(out, format="PNG")
    path.write_bytes(out.getvalue())
    return out.getvalue()


def test_open_image_opens_a_grid(tmp_path: Path) -> None:
    save_png(tmp_path / "grid.png", 250, 240)
    with open_image(tmp_path / "grid.png") as image:
        assert image.convert("L").size == (250, 240)


@pytest.mark.parametrize("side", [3200, 20_000])
def test_open_image_rejects_decompression_bombs(tmp_path: Path, side: int) -> None:
    """Pillow itself rejects the larger one."""
    assert side**2 > MAX_PIXELS
    save_png(tmp_path / "grid.png", side, side)
    with pytest.raises(RunError, match="for a sample grid"), open_image(tmp_path / "grid.png"):
        pass


def test_open_image_raises_for_damaged_or_missing_files(tmp_path: Path) -> None:
    whole = save_png(tmp_path / "grid.png", 250, 240)
    for length in (0, 20, len(whole) // 2):
        (tmp_path / "grid.png").write_bytes(whole[:length])
        with pytest.raises(RunError, match="damaged image"), open_image(tmp_path / "grid.png") as image:
            image.load()
    with pytest.raises(RunError, match="is missing"), open_image(tmp_path / "none.png"):
        pass


def test_is_valid_image_verifies_checksum_and_size(tmp_path: Path) -> None:
    whole = save_png(tmp_path / "grid.png", 250, 240)
    assert is_valid_image(tmp_path / "grid.png")
    (tmp_path / "grid.png").write_bytes(whole[:-20] + bytes(20))
    assert not is_valid_image(tmp_path / "grid.png")
    save_png(tmp_path / "grid.png", 3200, 3200)
    assert not is_valid_image(tmp_path / "grid.png")
    assert not is_valid_image(tmp_path / "none.png")


def test_epoch_grids_are_sorted_by_epoch_and_other_files_ignored(tmp_path: Path) -> None:
    for name in (grid_name(12345), grid_name(2), grid_name(10), "epoch_x.png", "epoch_1.png", "real.png"):
        (tmp_path / name).write_bytes(b"")
    assert {epoch: path.name for epoch, path in epoch_grids(tmp_path).items()} == {
        2: "epoch_0002.png",
        10: "epoch_0010.png",
        12345: "epoch_12345.png",
    }
    assert list(epoch_grids(tmp_path)) == [2, 10, 12345]


@pytest.mark.parametrize("shape", [(6, 5), (6, 5, 3)])
def test_png_round_trip(shape: tuple[int, ...], tmp_path: Path) -> None:
    grid = np.random.default_rng(0).integers(0, 256, size=shape, dtype=np.uint8)
    (tmp_path / "grid.png").write_bytes(png_bytes(grid))
    with open_image(tmp_path / "grid.png") as image:
        assert (np.asarray(image) == grid).all()


@pytest.mark.parametrize("grid", [np.zeros((6, 5)), np.zeros((3, 6, 5), np.uint8), np.zeros((6, 5, 4), np.uint8)])
def test_png_of_another_dtype_or_shape_raises(grid: NDArray[np.uint8]) -> None:
    with pytest.raises(ValueError, match=r"uint8 \[H, W\]"):
        png_bytes(grid)


def test_gif_has_evenly_spaced_frames_of_the_last_grids_size(tmp_path: Path) -> None:
    paths = [tmp_path / grid_name(epoch) for epoch in range(1, 151)]
    for index, path in enumerate(paths):
        size = (8, 8) if index == 0 else (6, 6)
        path.write_bytes(png_bytes(np.full(size, index, dtype=np.uint8)))
    with Image.open(io.BytesIO(gif_bytes(paths[1:]))) as gif:
        frames = [frame.convert("L").getpixel((0, 0)) for frame in ImageSequence.Iterator(gif)]
    assert len(frames) == MAX_FRAMES
    assert (frames[0], frames[-1]) == (1, 149)
    with Image.open(io.BytesIO(gif_bytes(paths[:3]))) as gif:
        assert (gif.n_frames, gif.size) == (2, (6, 6))
