"""UserImages: a user's own images as a data set, decoded once, split by content, and described in one line.

Images are stored at `--image-size` where it is given; otherwise at their own size if all are squares of one size
up to 128 pixels, and at 64 pixels if not. Images of a data set are ordered by the hash of their pixels, so that
neither names nor order in a folder matter. Where no split is given, the fifth with the smallest hashes is for
testing: equal images are always in one split.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gan_bench.core.errors import InputError, ReadError, printable
from gan_bench.core.events import DecodingProgress, Notice, OnEvent, ignore_events
from gan_bench.core.image_source import ImageSource
from gan_bench.core.limits import MAX_SOURCE_BYTES
from gan_bench.core.options import Options
from gan_bench.core.reading import file_hash
from gan_bench.data.base import Dataset, ImageData, datasets
from gan_bench.data.user_images.arrays import read_arrays
from gan_bench.data.user_images.cache import CachedImages, ImageCache
from gan_bench.data.user_images.decoding import Source, decode_all
from gan_bench.data.user_images.files import Folder, ZipFile
from gan_bench.data.user_images.listing import ImageFile, Listing, class_names
from gan_bench.data.user_images.parquet import read_parquet
from gan_bench.data.user_images.pixels import Alpha, Decoded, Pixels

DEFAULT_SIDE = 64
MAX_COMMON_SIDE = 128
MIN_IMAGES = 16
TEST_SHARE = 5
"""One image in so many is for testing, where no split is given."""
SPLIT_SEED = b"gan_bench split 0:"
MAX_NAMED = 20
RULES = (
    "EXIF orientation applied; grey if all files are, else RGB; 16 bits scaled to 8; alpha on {alpha}; "
    "first frame; centre crop, antialiased bilinear resize"
)


class UserImages(Dataset):
    """Images of a folder, zip, .npy, .npz or Parquet file; its name is the user's."""

    def __init__(self, source: ImageSource, images: CachedImages, alpha: Alpha) -> None:
        self.name = source.name
        self.title = f"images of {printable(source.path.name)}"
        self.source = RULES.format(alpha=alpha)
        self.channels, self.native_size = images.train.shape[1], images.train.shape[2]
        self.n_classes = len(images.facts["classes"])
        self.train_size, self.test_size = len(images.train), len(images.test)
        self.content_sha256 = images.sha256
        self._data = ImageData(
            source.name,
            images.train,
            images.train_labels,
            images.test,
            images.test_labels,
            n_classes=self.n_classes,
            sha256=images.sha256,
            source=self.source,
        )

    def is_available(self, root: Path) -> bool:
        """Return True: the images are in memory."""
        return True

    def load(self, root: Path, *, offline: bool, on_event: OnEvent) -> ImageData:
        """Return the data set."""
        return self._data


_registered: dict[tuple[Any, ...], UserImages] = {}
"""The user's data sets of this process, by source and rules."""


def ensure_sources(options: Options) -> None:
    """Register the user's images of the options, unless this process did; see `register_source`."""
    for source in options.image_sources:
        if _key(source, options) not in _registered:
            register_source(source, options, ignore_events)


def _key(source: ImageSource, options: Options) -> tuple[Any, ...]:
    return source, options.alpha, options.skip_bad


def register_source(source: ImageSource, options: Options, on_event: OnEvent) -> UserImages:
    """Return the data set of a user's images, registered under its name in place of an earlier one of the user's.

    Emits progress and a line about what was read. Raises InputError for a name that a registered data set has, for
    images that can't be read, and for too few of them.
    """
    if source.name == "auto" or (
        source.name in datasets and not isinstance(datasets.get(source.name), UserImages)
    ):
        raise InputError(f"{source.typed}: {source.name} is the name of another data set; choose another name")
    images = open_images(source, options, on_event)
    key = _key(source, options)
    if key not in _registered or _registered[key].content_sha256 != images.sha256:
        for other in [each for each in _registered if each[0].name == source.name]:
            del _registered[other]
        _registered[key] = UserImages(source, images, options.alpha)
    datasets.replace(source.name, _registered[key])
    on_event(Notice(describe(source, images, options.alpha)))
    return _registered[key]


def open_images(source: ImageSource, options: Options, on_event: OnEvent) -> CachedImages:
    """Return a user's images from the cache, or decoded and then cached; raise InputError."""
    reader, listing, fingerprint = _scan(source)
    cache = ImageCache(options.cache_dir, on_event, read_only=not options.write_cache)
    key = {
        "content": fingerprint,
        "image_size": source.image_size,
        "alpha": options.alpha,
        "skip_bad": options.skip_bad,
    }
    found = cache.load(key)
    if found is None:
        found = _decoded(source, reader, listing, options, on_event)
        cache.store(key, found)
    return found


def _scan(source: ImageSource) -> tuple[Source, Listing, str]:
    """Return how to read the images, which there are, and what identifies them."""
    path, asked = source.path, source.typed
    suffix = path.suffix.lower()
    try:
        if path.is_dir():
            folder = Folder(path.resolve())
            return folder, *folder.scan(asked)
        if not path.exists():
            raise InputError(
                f"{asked}: there is nothing at this path; name a folder, .zip, .npz, .npy or .parquet file"
            )
        if suffix == ".zip":
            archive = ZipFile(path)
            return archive, *archive.scan(asked)
        if suffix in (".npz", ".npy"):
            arrays = read_arrays(path, asked)
            return arrays, arrays.listing(), file_hash(path, max_bytes=MAX_SOURCE_BYTES)
        if suffix in (".parquet", ".pq"):
            rows = read_parquet(path, asked)
            return rows, rows.listing(), file_hash(path, max_bytes=MAX_SOURCE_BYTES)
    except ReadError as error:
        raise InputError(f"{asked}: {error}") from None
    except OSError as error:
        raise InputError(f"{asked}: {(error.strerror or str(error)).lower()}; name a folder or file") from None
    raise InputError(f"{asked}: not a folder, nor a .zip, .npz, .npy or .parquet file")


def _decoded(
    source: ImageSource, reader: Source, listing: Listing, options: Options, on_event: OnEvent
) -> CachedImages:
    _require_enough(source, listing.files, listing)
    side = source.image_size or _common_side(reader, listing.files, options.alpha)
    if len(listing.files) * side * side * 3 > MAX_SOURCE_BYTES:
        raise InputError(
            f"{source.typed}: {len(listing.files):,} images of {side}x{side} pixels take more than 4 GiB; "
            "give a smaller --image-size, or fewer images"
        )
    try:
        files, images, faults = _decode(source, reader, listing, side, options, on_event)
    except _OtherSizeError:
        files, images, faults = _decode(source, reader, listing, DEFAULT_SIDE, options, on_event)
    faults = [*listing.faults, *faults]
    if faults and not options.skip_bad:
        raise InputError(_named(source, faults))
    _require_enough(source, files, listing)
    return _arranged(source, files, images, listing, faults)


class _OtherSizeError(Exception):
    """Not all images are squares of one size."""


def _common_side(reader: Source, files: Sequence[ImageFile], alpha: Alpha) -> int:
    """Return the side of the first image that can be read, if it is a small square; else the default."""
    for file in files:
        [result] = decode_all(reader, [file.path], DEFAULT_SIDE, alpha, on_progress=lambda done: None)
        if isinstance(result, Decoded):
            width, height = result.size
            return width if width == height <= MAX_COMMON_SIDE else DEFAULT_SIDE
    return DEFAULT_SIDE


def _decode(
    source: ImageSource, reader: Source, listing: Listing, side: int, options: Options, on_event: OnEvent
) -> tuple[list[ImageFile], list[Decoded], list[str]]:
    """Return the images that can be read, and the faults of those that can't."""
    total = len(listing.files)
    asked_side = source.image_size or DEFAULT_SIDE
    files: list[ImageFile] = []
    images: list[Decoded] = []
    faults: list[str] = []
    paths = [file.path for file in listing.files]
    results = decode_all(
        reader,
        paths,
        side,
        options.alpha,
        on_progress=lambda done: on_event(DecodingProgress(source.name, done, total)),
    )
    for file, result in zip(listing.files, results, strict=True):
        if isinstance(result, str):
            faults.append(f"{printable(file.path)}: {result}")
        elif side != asked_side and result.size != (side, side):
            on_event(DecodingProgress(source.name, total, total))
            raise _OtherSizeError
        else:
            files.append(file)
            images.append(result)
    return files, images, faults


def _named(source: ImageSource, faults: Sequence[str]) -> str:
    """Return the error about files that can't be used, with their names."""
    count = f"{len(faults):,} images" if len(faults) > 1 else "1 image"
    lines = [f"  {fault}" for fault in faults[:MAX_NAMED]]
    lines += [f"  and {len(faults) - MAX_NAMED:,} more"] if len(faults) > MAX_NAMED else []
    head = f"{source.typed}: {count} can't be used; repair or remove, or leave out with --skip-bad:"
    return "\n".join([head, *lines])


def _require_enough(source: ImageSource, files: Sequence[ImageFile], listing: Listing) -> None:
    if len(files) >= MIN_IMAGES:
        return
    left_out = [f"{count:,} {kind} skipped" for kind, count in listing.skipped.items()]
    left_out += [f"{len(listing.faults)} can't be used, such as {listing.faults[0]}"] if listing.faults else []
    seen = f" ({', '.join(left_out)})" if left_out else ""
    count = f"{len(files)} image{'s' * (len(files) != 1)}"
    raise InputError(f"{source.typed}: {count} found{seen}; at least {MIN_IMAGES} are needed")


@dataclass(frozen=True)
class _Image:
    digest: str
    label: int
    split: str
    pixels: Pixels


def _arranged(
    source: ImageSource,
    files: Sequence[ImageFile],
    decoded: Sequence[Decoded],
    listing: Listing,
    faults: Sequence[str],
) -> CachedImages:
    """Return the images in the order of their content, split, with the facts that are reported."""
    classes = class_names(files)
    number = {name: index for index, name in enumerate(classes)}
    colour = any(image.pixels.ndim == 3 for image in decoded)
    images = sorted(
        (
            _Image(_digest(pixels), number.get(file.label, 0), file.split, pixels)
            for file, pixels in zip(files, (_as_colour(image.pixels, colour) for image in decoded), strict=True)
        ),
        key=lambda image: (image.digest, image.label),
    )
    train, test = _split(images)
    if not train or not test:
        raise InputError(f"{source.typed}: no image is left for {'training' if not train else 'testing'}")
    side = images[0].pixels.shape[0]
    distinct = Counter(image.digest for image in images)
    facts = {
        "classes": [printable(name)[:100] for name in classes],
        "skipped": dict(listing.skipped),
        "bad": len(faults),
        "split": "given" if listing.split_is_given else "by content",
        "duplicates": len(images) - len(distinct),
        "in both splits": len({image.digest for image in train} & {image.digest for image in test}),
        "resized": sum(image.size != (side, side) for image in decoded),
        "enlarged": sum(min(image.size) < side for image in decoded),
    }
    tensors = (_tensors(train, bool(classes)), _tensors(test, bool(classes)))
    return CachedImages(*tensors[0], *tensors[1], facts).with_hash()


def _as_colour(pixels: Pixels, colour: bool) -> Pixels:
    return np.repeat(pixels[..., None], 3, axis=2) if colour and pixels.ndim == 2 else pixels


def _digest(pixels: Pixels) -> str:
    return hashlib.sha256(SPLIT_SEED + pixels.tobytes()).hexdigest()


def _split(images: Sequence[_Image]) -> tuple[list[_Image], list[_Image]]:
    """Return training and test images; `images` are in the order of their hashes."""
    if any(image.split for image in images):
        return [image for image in images if image.split == "train"], [i for i in images if i.split == "test"]
    last = max(1, len(images) // TEST_SHARE)
    while last < len(images) and images[last].digest == images[last - 1].digest:
        last += 1
    return list(images[last:]), list(images[:last])


def _tensors(images: Sequence[_Image], labelled: bool) -> tuple[Tensor, Tensor | None]:
    """Return uint8 [N, C, side, side], and int64 [N] or None."""
    stacked = np.stack([image.pixels for image in images])
    pixels = stacked[:, None] if stacked.ndim == 3 else stacked.transpose(0, 3, 1, 2)
    labels = torch.tensor([image.label for image in images]) if labelled else None
    return torch.from_numpy(np.ascontiguousarray(pixels)), labels


def describe(source: ImageSource, images: CachedImages, alpha: Alpha) -> str:
    """Return one line about what was read and by which rules."""
    facts, side = images.facts, images.train.shape[-1]
    split = "split as given" if facts["split"] == "given" else "split by a hash of the content"
    counts = {**facts["skipped"], "unusable images": facts["bad"]}
    notes = [f"{count:,} {kind} skipped" for kind, count in counts.items() if count]
    notes += [f"{facts['resized']:,} resized ({facts['enlarged']:,} enlarged)"] if facts["resized"] else []
    notes += [f"{facts['duplicates']:,} duplicates"] if facts["duplicates"] else []
    notes += [f"{facts['in both splits']:,} in both splits"] if facts["in both splits"] else []
    return (
        f"Data set {source.name}: {len(images.train):,} training and {len(images.test):,} test images of "
        f"{printable(source.path.name)}, {split}; {len(facts['classes']) or 'no'} classes; "
        f"{'RGB' if images.train.shape[1] == 3 else 'grey'}, {side}x{side}"
        f"{'; ' if notes else ''}{', '.join(notes)}. Rules: {RULES.format(alpha=alpha)}."
    )
