"""Search for a data set's files by their contents: unpacked, compressed anew, in folders of any layout."""

from __future__ import annotations

import functools
import hashlib
import os
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gan_bench.core.decoding import gunzip
from gan_bench.core.errors import ReadError, printable
from gan_bench.core.limits import MAX_ARCHIVE_BYTES
from gan_bench.core.reading import read_bytes
from gan_bench.data.download import file_md5

MAX_DEPTH = 3
"""Levels of folders below the data root that are searched."""
MAX_SEARCHED = 5000
"""Files and folders that are looked at."""
MAX_SHOWN = 4
GZIP_MAGIC, IDX_MAGIC = b"\x1f\x8b", b"\0\0\x08"
IMAGES, LABELS = "images-idx3-ubyte", "labels-idx1-ubyte"
NAMES = tuple(f"{split}-{kind}" for split in ("train", "t10k") for kind in (IMAGES, LABELS))
CONTENTS: dict[str, Mapping[str, str]] = {
    "MNIST": dict(
        zip(
            NAMES,
            (
                "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
                "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
                "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
                "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
            ),
            strict=True,
        )
    ),
    "FashionMNIST": dict(
        zip(
            NAMES,
            (
                "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
                "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
                "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
                "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
            ),
            strict=True,
        )
    ),
}
"""SHA-256 of each file's unpacked content, by torchvision's name of the data set."""
OWNERS = {sha256: f"{name}'s {file}" for name, files in CONTENTS.items() for file, sha256 in files.items()}


@dataclass
class Search:
    """What was found of a data set: the path of each file, and files of these names that hold something else."""

    found: dict[str, Path] = field(default_factory=dict)
    rejected: dict[Path, str] = field(default_factory=dict)

    def seen(self) -> str:
        """Return in words what lies there and why it was not taken; empty if no file has one of the names."""
        shown = [f"{printable(str(path))} {reason}" for path, reason in self.rejected.items()]
        more = f"; and {len(shown) - MAX_SHOWN} more" if len(shown) > MAX_SHOWN else ""
        return f"{'; '.join(shown[:MAX_SHOWN])}{more}"


def search(places: list[Path], expected: Path, md5s: Mapping[str, str], contents: Mapping[str, str]) -> Search:
    """Search folders for the files of a data set: first in `expected`, then in each place and below.

    `md5s` has the MD5 of each archive by its name; `contents` the SHA-256 of its unpacked content by the name
    without .gz, where it is known. Either identifies a file, which may have any wrapping.
    """
    result = Search()
    candidates = dict.fromkeys(
        [*(expected / name for name in md5s), *(p for place in places for p in walk(place))]
    )
    for path in candidates:
        name = next((name for name in md5s if plain_name(name) == plain_name(path.name)), None)
        if name is None or name in result.found or not os.path.lexists(path):
            continue
        reason = _mismatch(path, md5s[name], contents.get(plain_name(name), ""))
        if reason:
            result.rejected[path] = reason
        else:
            result.found[name] = path
    return result


def walk(root: Path) -> Iterator[Path]:
    """Yield the files of a folder and of three levels below it, the nearest first; at most 5,000 entries."""
    pending = deque([(root, 0)])
    looked_at = 0
    while pending:
        folder, depth = pending.popleft()
        try:
            with os.scandir(folder) as listing:
                found = sorted(listing, key=lambda entry: entry.name)
        except OSError:
            continue
        for entry in found:
            looked_at += 1
            if looked_at > MAX_SEARCHED:
                return
            if entry.name.startswith("."):
                continue
            try:
                is_folder = entry.is_dir()
            except OSError:  # a link to itself
                continue
            if is_folder:
                if depth < MAX_DEPTH:
                    pending.append((Path(entry.path), depth + 1))
            else:
                yield Path(entry.path)


def plain_name(name: str) -> str:
    """Return a file's name without .gz, with - for . (some distributions write train-images.idx3-ubyte)."""
    return name.removesuffix(".gz").replace(".", "-")


def unpacked(path: Path) -> bytes:
    """Return the content of a file, unpacked if it is gzipped; raise ReadError."""
    data = read_bytes(path, max_bytes=MAX_ARCHIVE_BYTES)
    return gunzip(data, str(path), max_bytes=MAX_ARCHIVE_BYTES) if data.startswith(GZIP_MAGIC) else data


def _mismatch(path: Path, md5: str, content: str) -> str:
    """Return why a file is not the one that is searched for; empty if it is."""
    found = file_md5(path)
    if found == md5:
        return ""
    if found is None:
        return "is not readable: check its permissions" if path.is_file() else "is not a regular file"
    try:
        status = path.stat()
        sha256, is_idx = _content(path, status.st_size, status.st_mtime_ns)
    except (OSError, ReadError):
        sha256, is_idx = "", False
    if content and sha256 == content:
        return ""
    if sha256 in OWNERS:
        return f"is {OWNERS[sha256]}, which is another data set"
    if is_idx:
        return f"has other content than the published file (MD5 {found}, not {md5}): move it, or delete it"
    return f"is damaged (MD5 {found}, not {md5}): delete it to download it again"


@functools.lru_cache(maxsize=64)
def _content(path: Path, size: int, modified_ns: int) -> tuple[str, bool]:
    """Return the hash of a file's unpacked content, and whether that begins as IDX files of bytes do."""
    del size, modified_ns  # part of the cache key: a changed file is read again
    data = unpacked(path)
    return hashlib.sha256(data).hexdigest(), data.startswith(IDX_MAGIC)
