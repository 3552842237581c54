"""ImageSource: a user's own images as typed, `--dataset NAME=PATH`. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gan_bench.core.errors import InputError
from gan_bench.core.parsing import parse_path

OPTION = "--dataset"


@dataclass(frozen=True)
class ImageSource:
    """A folder, zip or array file of images, with the name that it has as a data set."""

    name: str
    path: Path
    image_size: int | None = None
    """The size asked for by `--image-size`, in pixels; None: see `data.user_images.dataset`."""

    @property
    def typed(self) -> str:
        """The option as it would be typed."""
        return f"{OPTION} {self.name}={self.path}"


def parse_source(text: str, image_size: int | None = None) -> ImageSource | None:
    """Return the source of NAME=PATH, with an absolute path; None for the name of a registered data set.

    Raises InputError for a path without a name, and for a name that is not allowed.
    """
    from gan_bench.core.registry import check_name  # slow to import, and help needs no registry

    name, equals, path = text.partition("=")
    if not equals:
        if "/" in text or "\\" in text or text.startswith("~"):
            raise InputError(f"{OPTION} {text}: a path needs a name; type {OPTION} NAME=PATH, such as cats={text}")
        return None
    check_name("data set", name.strip())
    return ImageSource(name.strip(), parse_path(path.strip(), f"{OPTION} {name.strip()}="), image_size)
