"""Image files in a folder or a zip: walked without following links, and read one by one. Loads no torch."""

from __future__ import annotations

import hashlib
import os
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from gan_bench.core.errors import InputError, ReadError, printable
from gan_bench.core.limits import MAX_ENTRIES, MAX_PHOTO_BYTES, MAX_SOURCE_BYTES
from gan_bench.core.reading import LINK, entries, file_hash, open_regular, read_bytes
from gan_bench.data.user_images.listing import EMPTY, HIDDEN, Listing, is_hidden, list_images

MAX_LEVELS = 16
ZIP_ERRORS = (zipfile.BadZipFile, KeyError, NotImplementedError, RuntimeError, ValueError, EOFError, zlib.error)
"""Raised for damaged and encrypted zip files."""


@dataclass(frozen=True)
class Folder:
    """A folder of image files."""

    path: Path
    chunk: ClassVar[int] = 128
    is_small: ClassVar[bool] = True

    def scan(self, asked: str) -> tuple[Listing, str]:
        """Return its images, and a fingerprint of all names, sizes and times of modification and change."""
        digest = hashlib.sha256()
        paths: list[str] = []
        faults: list[str] = []
        folders: set[str] = set()
        hidden = 0
        pending = [(self.path, "")]
        while pending:
            folder, base = pending.pop()
            for entry in entries(folder, root=self.path):
                path = base + entry.name
                if is_hidden(entry.name):
                    hidden += 1
                elif entry.is_symlink():
                    faults.append(f"{printable(path)}: {LINK}")
                elif entry.is_dir(follow_symlinks=False):
                    if path.count("/") >= MAX_LEVELS:
                        raise InputError(f"{asked}: folders are nested deeper than {MAX_LEVELS} levels")
                    pending.append((Path(entry.path), f"{path}/"))
                    folders.add(f"{path}/")
                else:
                    paths.append(path)
                    status = entry.stat(follow_symlinks=False)
                    stamp = f"{status.st_size}:{status.st_mtime_ns}:{status.st_ctime_ns}"
                    digest.update(os.fsencode(path) + f"\0{stamp}\0".encode())
                if len(paths) > MAX_ENTRIES:
                    raise InputError(f"{asked}: more than the {MAX_ENTRIES:,} files that are read")
        listing = list_images(paths, asked)
        listing.faults = sorted([*faults, *listing.faults])
        listing.skipped.update({HIDDEN: hidden} if hidden else {})
        filled = {file.path[: index + 1] for file in listing.files for index in _slashes(file.path)}
        listing.skipped.update({EMPTY: len(folders - filled)} if folders - filled else {})
        digest.update("\n".join(listing.faults).encode(errors="replace"))
        return listing, digest.hexdigest()

    def read(self, paths: Sequence[str]) -> Iterator[bytes | ReadError]:
        """Yield the content of each file, or why it can't be read."""
        for path in paths:
            file = self.path / path
            try:  # the folders on the way were walked without following links
                yield read_bytes(file, max_bytes=MAX_PHOTO_BYTES, root=file.parent)
            except ReadError as error:
                yield ReadError(str(error).removeprefix(f"{file}: "))


def _slashes(path: str) -> list[int]:
    return [index for index, char in enumerate(path) if char == "/"]


@dataclass(frozen=True)
class ZipFile:
    """A zip with image files; nothing is unpacked to disk."""

    path: Path
    chunk: ClassVar[int] = 2048
    """Each time that it is opened, its whole table of contents is read."""
    is_small: ClassVar[bool] = True

    def scan(self, asked: str) -> tuple[Listing, str]:
        """Return its images, and the hash of the file."""
        try:
            with open_regular(self.path, max_bytes=MAX_SOURCE_BYTES) as file, zipfile.ZipFile(file) as archive:
                members = archive.infolist()
        except ZIP_ERRORS as error:
            raise InputError(f"{asked}: {self.path} is not a valid zip file ({printable(str(error))})") from None
        if len(members) > MAX_ENTRIES:
            raise InputError(f"{asked}: more than the {MAX_ENTRIES:,} files that are read")
        listing = list_images({member.filename for member in members if not member.is_dir()}, asked)
        return listing, file_hash(self.path, max_bytes=MAX_SOURCE_BYTES)

    def read(self, paths: Sequence[str]) -> Iterator[bytes | ReadError]:
        """Yield the content of each member, or why it can't be read."""
        with open_regular(self.path, max_bytes=MAX_SOURCE_BYTES) as file, zipfile.ZipFile(file) as archive:
            for path in paths:
                try:
                    with archive.open(path) as member:
                        data = member.read(MAX_PHOTO_BYTES + 1)  # whatever size the zip declares
                    yield data if len(data) <= MAX_PHOTO_BYTES else ReadError("is too large")
                except (*ZIP_ERRORS, OSError) as error:
                    yield ReadError(f"is damaged in the zip: {printable(str(error))[:100]}")
