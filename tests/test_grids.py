"""Pictures are opened only where they are sound and no larger than a grid."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from gan_bench.errors import RunError
from gan_bench.grids import MOST_PIXELS, opened


def kept(path: Path, width: int, height: int) -> bytes:
    out = io.BytesIO()
    Image.new("1", (width, height)).save(out, format="PNG")
    path.write_bytes(out.getvalue())
    return out.getvalue()


def test_a_grid_is_opened(tmp_path: Path) -> None:
    kept(tmp_path / "grid.png", 250, 240)
    with opened(tmp_path / "grid.png") as image:
        assert image.convert("L").size == (250, 240)


@pytest.mark.parametrize("side", [3200, 20_000])
def test_a_bomb_is_not(tmp_path: Path, side: int) -> None:
    """The larger one is more than Pillow itself would open."""
    assert side**2 > MOST_PIXELS
    kept(tmp_path / "grid.png", side, side)
    with pytest.raises(RunError, match="than a grid of samples has"), opened(tmp_path / "grid.png"):
        pass


def test_damage_is_told_wherever_it_shows(tmp_path: Path) -> None:
    whole = kept(tmp_path / "grid.png", 250, 240)
    for length in (0, 20, len(whole) // 2):
        (tmp_path / "grid.png").write_bytes(whole[:length])
        with pytest.raises(RunError, match="a picture is damaged"), opened(tmp_path / "grid.png") as image:
            image.load()
    with pytest.raises(RunError, match="a picture is damaged"), opened(tmp_path / "none.png"):
        pass
