"""One image file to uint8 pixels by fixed rules; loads no torch, so that decoding processes start fast.

The rules: EXIF orientation is applied; files stored as grey (1, 8 or 16 bits, with or without alpha) become grey,
all others RGB; 16 bits are scaled to 8; alpha is put on a plain background; an animation is its first frame; the
largest centred square is resized with Pillow's antialiased bilinear filter.
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from gan_bench.core.errors import ReadError, first_line, printable
from gan_bench.core.limits import MAX_PHOTO_PIXELS

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
SUFFIXES = frozenset(
    [
        ".bmp",
        ".gif",
        ".jfif",
        ".jpe",
        ".jpeg",
        ".jpg",
        ".pbm",
        ".pgm",
        ".png",
        ".pnm",
        ".ppm",
        ".tif",
        ".tiff",
        ".webp",
    ]
)
UNREAD_SUFFIXES = frozenset([".avif", ".heic", ".heif", ".ico", ".j2k", ".jp2", ".jxl", ".psd", ".svg", ".tga"])
"""Images that are not decoded: they are named, since leaving them out silently would change the data set."""
GREY_MODES = frozenset(["1", "L", "LA", "La", "I"])
BACKGROUNDS = {"white": (255, 255, 255, 255), "black": (0, 0, 0, 255)}

Alpha: TypeAlias = Literal["white", "black"]
Pixels: TypeAlias = NDArray[np.uint8]
"""[side, side] of a grey image, [side, side, 3] of one in colour."""


@dataclass(frozen=True)
class Decoded:
    """An image's pixels, and its width and height in the file, upright."""

    pixels: Pixels
    size: tuple[int, int]


def decode(file: bytes | Image.Image, side: int, alpha: Alpha) -> Decoded:
    """Return an image file, or an opened image, as pixels of that size; raise ReadError, without its name."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of damaged metadata; too many pixels are refused below
            return _decode(_open(file) if isinstance(file, bytes) else file, side, alpha)
    except (ReadError, MemoryError):
        raise
    except UnidentifiedImageError:
        raise ReadError(f"is not an image of a format that is read ({', '.join(FORMATS)})") from None
    except Image.DecompressionBombError:
        raise ReadError(_too_large()) from None
    except Exception as error:  # decoders of damaged files raise anything
        raise ReadError(f"is damaged: {printable(first_line(error))[:100]}") from None


def _open(data: bytes) -> Image.Image:
    if not data:
        raise ReadError("is empty")
    image = Image.open(io.BytesIO(data), formats=FORMATS)
    if image.width * image.height > MAX_PHOTO_PIXELS:
        raise ReadError(_too_large(image.width, image.height))
    return image


def _too_large(*size: int) -> str:
    found = f"has {size[0]:,} x {size[1]:,} pixels, " if size else "has "
    return f"{found}more than the {MAX_PHOTO_PIXELS:,} pixels that are decoded; make it smaller"


def _decode(image: Image.Image, side: int, alpha: Alpha) -> Decoded:
    image.load()  # the first frame of an animation
    ImageOps.exif_transpose(image, in_place=True)
    size = image.size
    image = _eight_bits(image, alpha)
    if size != (side, side):
        image = ImageOps.fit(image, (side, side), Image.Resampling.BILINEAR)
    return Decoded(np.asarray(image, dtype=np.uint8), size)


def _eight_bits(image: Image.Image, alpha: Alpha) -> Image.Image:
    """Return an image in mode L if it is stored as grey, in mode RGB otherwise."""
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG"):
        values = np.asarray(image).astype(np.int64)
        return Image.fromarray(((values + 128) // 257).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise ReadError("has 32-bit pixels, whose range is not known; save it with 8 or 16 bits")
    mode = "L" if image.mode in GREY_MODES else "RGB"
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        background = Image.new("RGBA", image.size, BACKGROUNDS[alpha])
        return Image.alpha_composite(background, image.convert("RGBA")).convert(mode)
    return image if image.mode == mode else image.convert(mode)


def from_array(array: NDArray[Any]) -> Image.Image:
    """Return uint8 [H, W], or [H, W, C] with 1 to 4 channels (L, LA, RGB, RGBA), as an image."""
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    return Image.fromarray(np.ascontiguousarray(array))
