"""One image file to pixels: orientation, modes, alpha, crop, and what is refused."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gan_bench.core.errors import ReadError
from gan_bench.core.limits import MAX_PHOTO_PIXELS
from gan_bench.data.user_images.pixels import decode


def file(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def plain(mode: str, color: Any, size: tuple[int, int] = (8, 8)) -> Image.Image:
    return Image.new(mode, size, color)


def value(data: bytes, alpha: Any = "white") -> Any:
    pixels = decode(data, 8, alpha).pixels
    assert pixels.dtype == np.uint8
    return pixels[3, 3].tolist()


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (file(plain("1", 1)), 255),
        (file(plain("L", 77)), 77),
        (file(plain("LA", (100, 255))), 100),
        (file(plain("LA", (100, 0))), 255),
        (file(plain("RGB", (1, 2, 3))), [1, 2, 3]),
        (file(plain("RGBA", (10, 20, 30, 0))), [255, 255, 255]),
        (file(plain("RGBA", (10, 20, 30, 255))), [10, 20, 30]),
        (file(plain("RGB", (9, 9, 9)).quantize(4)), [9, 9, 9]),
        (file(plain("CMYK", (0, 0, 0, 255)), "TIFF"), [0, 0, 0]),
        (file(Image.fromarray(np.full((8, 8), 65535, np.uint16))), 255),
        (file(Image.fromarray(np.full((8, 8), 257 * 40, np.uint16))), 40),
        (file(plain("L", 5), transparency=5), 255),
    ],
    ids=["1-bit", "L", "LA", "LA clear", "RGB", "RGBA clear", "RGBA", "P", "CMYK", "16 bits", "scaled", "tRNS"],
)
def test_modes_become_grey_or_rgb_by_one_rule(data: bytes, expected: Any) -> None:
    assert value(data) == expected


def test_alpha_is_put_on_black_by_option() -> None:
    half = file(plain("RGBA", (200, 200, 200, 0)))
    assert value(half, "black") == [0, 0, 0]


def test_exif_orientation_is_applied() -> None:
    image = plain("RGB", "black", (8, 16))
    image.paste((255, 0, 0), (0, 0, 8, 8))  # red above
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate by 90 degrees clockwise
    found = decode(file(image, exif=exif), 16, "white")
    assert found.size == (16, 8)
    assert found.pixels[8, 15].tolist() == [255, 0, 0], "the upper part is on the right once upright"
    assert found.pixels[8, 0].tolist() == [0, 0, 0]


def test_other_sizes_are_cropped_at_the_centre_and_antialiased() -> None:
    wide = np.zeros((32, 96), np.uint8)
    wide[:, :32] = 255  # outside of the central square
    wide[:, 32:64] = np.arange(32) % 2 * 255
    found = decode(file(Image.fromarray(wide)), 8, "white")
    assert found.size == (96, 32)
    assert np.abs(found.pixels[:, 1:-1].astype(float) - 127.5).max() < 20


def test_an_animation_is_its_first_frame() -> None:
    frames = [plain("L", 10), plain("L", 200)]
    gif = file(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert value(gif) in (10, [10, 10, 10])


def bomb(width: int, height: int) -> bytes:
    """A small PNG that declares many pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"no image at all", "not an image of a format that is read"),
        (file(plain("RGB", "red", (64, 64)), "JPEG")[:300], "is damaged: .*[Tt]runcated"),
        (bomb(10_000, 10_000), f"10,000 x 10,000 pixels, more than the {MAX_PHOTO_PIXELS:,}"),
        (bomb(60_000, 60_000), f"more than the {MAX_PHOTO_PIXELS:,} pixels that are decoded"),
        (file(Image.fromarray(np.zeros((8, 8), np.float32)), "TIFF"), "32-bit pixels"),
    ],
    ids=["empty", "text", "truncated", "bomb", "larger bomb", "floats"],
)
def test_files_that_are_no_usable_image_are_refused_with_the_reason(data: bytes, message: str) -> None:
    with pytest.raises(ReadError, match=message):
        decode(data, 8, "white")
