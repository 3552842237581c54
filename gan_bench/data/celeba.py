"""CelebA: 162,770 and 19,962 photographs of faces, centre-cropped and resized to 64x64, RGB, without labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gan_bench.core.errors import InputError, ReadError, printable
from gan_bench.core.events import DecodingProgress, OnEvent
from gan_bench.core.limits import MAX_ARCHIVE_BYTES
from gan_bench.core.reading import read_text
from gan_bench.data.base import Dataset, ImageData, datasets
from gan_bench.data.download import file_md5
from gan_bench.data.user_images.cache import CachedImages, ImageCache
from gan_bench.data.user_images.decoding import decode_all
from gan_bench.data.user_images.files import Folder

IMAGES, PARTITION = "img_align_celeba", "list_eval_partition.txt"
PARTITION_MD5 = "d32c9cbf5e040fd4025c592c306e6668"
SIDE = 64
MAX_NAMED = 5


class CelebA(Dataset):
    """The aligned faces, as torchvision lays them out: ROOT/celeba/img_align_celeba/*.jpg; not downloaded.

    Each is the central 178x178 square of 178x218 pixels. Decoded once into the user's cache (2.2 GB).
    """

    name = "celeba"
    title = "CelebA, 64x64"
    source = "arXiv 1411.7766"
    channels = 3
    native_size = SIDE
    n_classes = 0
    train_size = 162_770
    test_size = 19_962

    def folder(self, root: Path) -> Path | None:
        """Return the folder with the images' folder and the partition: ROOT/celeba, or ROOT itself."""
        return next((folder for folder in (root / "celeba", root) if (folder / IMAGES).is_dir()), None)

    def is_available(self, root: Path) -> bool:
        """Return whether the folder of the images and the published partition exist."""
        folder = self.folder(root)
        return folder is not None and file_md5(folder / PARTITION) == PARTITION_MD5

    def explain_absence(self, root: Path) -> str:
        """Return what is missing of a folder with images."""
        folder = self.folder(root)
        if folder is None:
            return ""
        found = file_md5(folder / PARTITION)
        state = f"has MD5 {found}, not {PARTITION_MD5}" if found else "is missing"
        return "" if found == PARTITION_MD5 else f"{folder / IMAGES}, but {folder / PARTITION} {state}"

    def load(self, root: Path, *, offline: bool, on_event: OnEvent) -> ImageData:
        """Return the data set from the cache, or decoded; nothing is cached when `offline`, as for a dry run."""
        folder = self.folder(root)
        if folder is None or not self.is_available(root):
            seen = self.explain_absence(root)
            raise InputError(
                f"CelebA is not available{f' (seen: {seen})' if seen else ''}, and is not downloaded, with or "
                f"without --offline: unpack img_align_celeba.zip to {root / 'celeba' / IMAGES} and put "
                f"{PARTITION} beside it (from https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html), "
                "or give --data-root FOLDER"
            )
        images = Folder((folder / IMAGES).resolve())
        splits = self._splits(folder / PARTITION)
        _, fingerprint = images.scan("celeba")
        cache, key = ImageCache(None, on_event, read_only=offline), {"celeba": fingerprint, "side": SIDE}
        found = cache.load(key)
        if found is None:
            train, test = (self._decode(images, names, on_event) for names in splits)
            found = CachedImages(train, None, test, None, {}).with_hash()
            cache.store(key, found)
        return ImageData(
            "celeba", found.train, None, found.test, None, n_classes=0, sha256=found.sha256, source=self.source
        )

    def _splits(self, path: Path) -> tuple[list[str], list[str]]:
        """Return the names of training and test images; those for validation are not used."""
        try:
            lines = [line.split() for line in read_text(path, max_bytes=MAX_ARCHIVE_BYTES).splitlines()]
        except ReadError as error:
            raise InputError(str(error)) from None
        return [line[0] for line in lines if line[1:] == ["0"]], [line[0] for line in lines if line[1:] == ["2"]]

    def _decode(self, images: Folder, names: Sequence[str], on_event: OnEvent) -> Tensor:
        """Return images as uint8 [N, 3, 64, 64]; raise InputError with those that can't be read."""
        pixels = np.empty((len(names), SIDE, SIDE, 3), np.uint8)
        faults = []

        def progress(done: int) -> None:
            on_event(DecodingProgress("celeba", done, len(names)))

        results = decode_all(images, names, SIDE, "white", on_progress=progress)
        for row, (name, result) in enumerate(zip(names, results, strict=True)):
            if isinstance(result, str):
                faults.append(f"{printable(name)} {result}")
            else:
                pixels[row] = result.pixels if result.pixels.ndim == 3 else result.pixels[..., None]
        if faults:
            more = f"; and {len(faults) - MAX_NAMED:,} more" if len(faults) > MAX_NAMED else ""
            raise InputError(f"{images.path}: {'; '.join(faults[:MAX_NAMED])}{more}: unpack the archive again")
        return torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)))


datasets.register("celeba")(CelebA())
