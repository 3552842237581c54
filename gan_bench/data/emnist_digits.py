"""EMNIST digits: 240,000 and 40,000 handwritten digits, 28x28, grey, in one zip file."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

from gan_bench.core.errors import InputError, ReadError
from gan_bench.core.events import OnEvent
from gan_bench.core.limits import MAX_ARCHIVE_BYTES
from gan_bench.core.reading import open_regular
from gan_bench.data.archives import MnistArchives, image_data, read_idx, torchvision_dataset
from gan_bench.data.base import ImageData, datasets

MEMBERS = [
    f"gzip/emnist-digits-{split}-{kind}-ubyte.gz"
    for split in ("train", "test")
    for kind in ("images-idx3", "labels-idx1")
]


class EmnistDigits(MnistArchives):
    """The digits of EMNIST (arXiv 1702.05373); ROOT/EMNIST/raw/gzip.zip holds all its splits."""

    train_size = 240_000
    test_size = 40_000
    limit_seconds = 1800.0  # half a gigabyte

    def resources(self) -> list[tuple[str, str]]:
        """Return the zip's name and MD5."""
        return [("gzip.zip", torchvision_dataset("EMNIST").md5)]

    def mirrors(self) -> list[str]:
        """Return the base URL of the zip."""
        return [torchvision_dataset("EMNIST").url.removesuffix("gzip.zip")]

    def load(self, root: Path, *, offline: bool, on_event: OnEvent) -> ImageData:
        """Return the data set with upright images: the archive stores them transposed."""
        [path] = self.locate(root, offline=offline, on_event=on_event)
        try:
            with (
                open_regular(path, max_bytes=MAX_ARCHIVE_BYTES) as file,
                zipfile.ZipFile(file) as archive,
            ):
                arrays = [read_idx(_member(archive, name), name) for name in MEMBERS]
        except (zipfile.BadZipFile, KeyError, NotImplementedError, ValueError, zlib.error, ReadError) as error:
            raise InputError(
                f"{path} is not the EMNIST archive ({error}): delete it to download it again"
            ) from None
        upright = [array.transpose(1, 2) if array.ndim == 3 else array for array in arrays]
        return image_data(self, self.name, upright)


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    """Return a member of the archive, of bounded size whatever the archive says."""
    with archive.open(name) as file:
        data = file.read(MAX_ARCHIVE_BYTES + 1)
    if len(data) > MAX_ARCHIVE_BYTES:
        raise ReadError(f"{name} is too large")
    return data


datasets.register("emnist-digits")(EmnistDigits("emnist-digits", "EMNIST", "EMNIST digits", "arXiv 1702.05373"))
