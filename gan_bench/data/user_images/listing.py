"""Layout of image files in a folder or a zip: splits, classes, and what is skipped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Literal, TypeAlias

from gan_bench.core.errors import InputError, printable
from gan_bench.data.user_images.pixels import SUFFIXES, UNREAD_SUFFIXES

Split: TypeAlias = Literal["train", "test", ""]

SYSTEM_FILES = frozenset(["__macosx", "@eadir", "desktop.ini", "ehthumbs.db", "icon\r", "thumbs.db"])
TRAIN, TEST = ("train", "training"), ("test", "testing", "val", "valid", "validation")
"""Names of split folders; of several test folders the first of these is used."""
HIDDEN, OTHER, BESIDE = "hidden files", "other files", "images beside the folders of the splits"
EMPTY = "folders without images"


@dataclass(frozen=True)
class ImageFile:
    """An image by its path below the folder, with its split (empty where none is given) and class, if any."""

    path: str
    split: Split = ""
    label: str = ""


@dataclass
class Listing:
    """The images of a folder or zip, what was skipped by kind, and files that can't be used with the reason."""

    files: list[ImageFile] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    @property
    def split_is_given(self) -> bool:
        """Whether the folder says which images are for testing."""
        return any(file.split for file in self.files)


def is_hidden(name: str) -> bool:
    """Return whether a file or folder is hidden, or made by a system for itself (thumbnails, resource forks)."""
    return name.startswith(".") or name.lower() in SYSTEM_FILES


def list_images(paths: Iterable[str], asked: str) -> Listing:
    """Return the images among paths (below the folder, with /), by split and class.

    A folder is flat, or has one folder a class, or train/ and test/ of either kind; folders that only wrap others
    are passed through. Raises InputError for images beside class folders, and for a test class without training
    images.
    """
    listing = Listing()
    images: list[str] = []
    for path in sorted(paths):
        suffix = PurePosixPath(path).suffix.lower()
        if any(map(is_hidden, path.split("/"))):
            listing.skipped[HIDDEN] += 1
        elif suffix in UNREAD_SUFFIXES:
            listing.faults.append(f"{printable(path)}: {suffix} files are not read; convert it to PNG or JPEG")
        elif suffix in SUFFIXES:
            images.append(path)
        else:
            listing.skipped[OTHER] += 1
    base = _unwrapped(images)
    splits = _splits({path[len(base) :].partition("/")[0] for path in images if "/" in path[len(base) :]})
    for path in images:
        first, _, rest = path[len(base) :].partition("/")
        if not splits:
            listing.files.append(ImageFile(path, "", _label(path[len(base) :])))
        elif rest and first in splits:
            listing.files.append(ImageFile(path, splits[first], _label(rest)))
        else:
            listing.skipped[BESIDE] += 1
    _check_classes(listing.files, asked)
    return listing


def class_names(files: Sequence[ImageFile]) -> tuple[str, ...]:
    """Return the classes, sorted; none where there is only one, which is no label."""
    names = sorted({file.label for file in files if file.label})
    return tuple(names) if len(names) > 1 else ()


def _unwrapped(images: Sequence[str]) -> str:
    """Return the beginning of all paths that consists of folders with nothing beside them."""
    base = ""
    while images and "/" in images[0][len(base) :]:
        inner = base + images[0][len(base) :].partition("/")[0] + "/"
        if not all(path.startswith(inner) for path in images):
            break
        base = inner
    return base


def _splits(folders: set[str]) -> dict[str, Split]:
    """Return the split of each split folder; empty unless there are both."""
    by_name = {folder.lower(): folder for folder in folders}
    train = next((by_name[name] for name in TRAIN if name in by_name), None)
    test = next((by_name[name] for name in TEST if name in by_name), None)
    return {train: "train", test: "test"} if train and test else {}


def _label(path: str) -> str:
    return path.partition("/")[0] if "/" in path else ""


def _check_classes(files: Sequence[ImageFile], asked: str) -> None:
    labelled = [file for file in files if file.label]
    plain = [file for file in files if not file.label]
    if labelled and plain:
        raise InputError(
            f"{asked}: {printable(plain[0].path)!r} lies beside class folders such as "
            f"{printable(labelled[0].label)!r}; use one folder a class, or no folders"
        )
    train = {file.label for file in files if file.split == "train"}
    missing = sorted({file.label for file in files if file.split == "test"} - train)
    if missing:
        raise InputError(f"{asked}: class {printable(missing[0])!r} has test images but no training images")
