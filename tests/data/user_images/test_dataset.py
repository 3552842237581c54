"""Users' images as a data set: rules, split, cache, faults and one line of description."""

from __future__ import annotations

import io
import os
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.events import notices_into
from PIL import Image

import gan_bench as gb
from gan_bench.core.errors import InputError
from gan_bench.core.events import DecodingProgress, Event, ignore_events
from gan_bench.core.image_source import ImageSource, parse_source
from gan_bench.data.base import datasets
from gan_bench.data.contract import check_data
from gan_bench.data.user_images import dataset as user_images
from gan_bench.data.user_images.cache import CachedImages
from gan_bench.data.user_images.dataset import open_images, register_source
from gan_bench.data.user_images.decoding import decode_all
from gan_bench.data.user_images.files import Folder


def picture(number: int, size: tuple[int, int] = (16, 16), mode: str = "RGB") -> Image.Image:
    pixels = np.random.RandomState(number).randint(0, 256, (size[1], size[0], 3)).astype(np.uint8)
    return Image.fromarray(pixels).convert(mode)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes of twelve images, with spaces and other letters in their names."""
    root = tmp_path / "my pets"
    for index in range(24):
        path = root / ("cat", "Hünd")[index % 2] / f"no {index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture(index).save(path)
    return root


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    (tmp_path / "cache").mkdir(mode=0o700)
    return tmp_path / "cache"


@pytest.fixture
def opened(cache: Path) -> Callable[..., CachedImages]:
    def open_(path: Path, size: int | None = None, on_event: Any = ignore_events, **options: Any) -> CachedImages:
        return open_images(ImageSource("pets", path, size), gb.Options(cache_dir=cache, **options), on_event)

    return open_


@pytest.fixture(autouse=True)
def _registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    datasets.names()
    monkeypatch.setattr(datasets, "_objects", dict(datasets._objects))
    yield
    user_images._registered.clear()


Opened = Callable[..., CachedImages]


def test_images_fulfil_the_contract_of_a_data_set(folder: Path, cache: Path) -> None:
    notices: list[str] = []
    source = ImageSource("pets", folder)
    declared = register_source(source, gb.Options(cache_dir=cache), notices_into(notices))
    data = check_data("pets", declared, declared.load(folder, offline=True, on_event=ignore_events))
    assert data.train.shape == (20, 3, 16, 16)
    assert (data.n_classes, declared.test_size, declared.content_sha256) == (2, 4, data.sha256)
    assert datasets.get("pets") is declared
    assert len(notices) == 1
    assert notices[0].startswith(
        "Data set pets: 20 training and 4 test images of my pets, split by a hash of the content; 2 classes; RGB, "
        "16x16. Rules: EXIF orientation applied"
    )


def test_neither_names_nor_packing_change_the_data_set(folder: Path, opened: Opened, tmp_path: Path) -> None:
    first = opened(folder)
    shutil.make_archive(str(tmp_path / "packed"), "zip", folder)
    assert opened(tmp_path / "packed.zip").sha256 == first.sha256
    (folder / "cat" / "no 0.png").rename(folder / "cat" / "zz.png")
    assert opened(folder).sha256 == first.sha256
    (folder / "cat" / "zz.png").unlink()
    assert opened(folder).sha256 != first.sha256


def test_arrays_and_parquet_are_the_same_data_set_as_their_files(
    folder: Path, opened: Opened, tmp_path: Path
) -> None:
    import pyarrow
    from pyarrow import parquet

    paths = sorted(folder.rglob("*.png"))
    labels = [int(path.parent.name == "cat") for path in paths]
    np.savez(tmp_path / "a.npz", images=np.stack([np.asarray(Image.open(path)) for path in paths]), labels=labels)
    column = [{"bytes": path.read_bytes(), "path": path.name} for path in paths]
    parquet.write_table(pyarrow.table({"image": column, "label": labels}), tmp_path / "p.parquet")
    expected = opened(folder).sha256  # the classes are sorted: Hünd, cat
    assert opened(tmp_path / "a.npz").sha256 == expected
    assert opened(tmp_path / "p.parquet").sha256 == expected


def test_parquet_without_pyarrow_says_what_to_install(
    opened: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match="not a valid Parquet file"):
        opened(tmp_path / "x.parquet")
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(InputError, match=r"pip install 'gan-bench\[parquet\]'"):
        opened(tmp_path / "x.parquet")


def test_images_are_decoded_once(folder: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    first = opened(folder)
    monkeypatch.setattr(user_images, "decode_all", lambda *args, **options: pytest.fail("decoded again"))
    assert opened(folder).sha256 == first.sha256


@pytest.mark.parametrize("damage", [lambda data: data[:-50], lambda data: data[:-1] + b"\7"])
def test_a_damaged_cache_is_decoded_again(
    folder: Path, opened: Opened, cache: Path, damage: Callable[[bytes], bytes]
) -> None:
    first = opened(folder)
    [file] = (cache / "images").iterdir()
    file.write_bytes(damage(file.read_bytes()))
    assert opened(folder).sha256 == first.sha256


def test_nothing_is_written_for_a_dry_run(folder: Path, opened: Opened, cache: Path) -> None:
    opened(folder, write_cache=False)
    assert list(cache.iterdir()) == []


def test_progress_is_reported(folder: Path, opened: Opened) -> None:
    events: list[Event] = []
    opened(folder, on_event=events.append)
    assert events == [DecodingProgress("pets", 24, 24)]


def test_a_change_in_place_is_noticed(folder: Path, opened: Opened) -> None:
    first = opened(folder)
    path = folder / "cat" / "no 0.png"
    stamp = path.stat()
    picture(99).save(path)
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert opened(folder).sha256 != first.sha256


def test_every_image_that_cannot_be_used_is_named_before_training(folder: Path, opened: Opened) -> None:
    (folder / "cat" / "empty.png").touch()
    (folder / "cat" / "lying.jpg").write_bytes(b"GIF it is not")
    (folder / "cat" / "half.png").write_bytes((folder / "cat" / "no 0.png").read_bytes()[:200])
    (folder / "cat" / "way out.png").symlink_to("/etc/passwd")
    os.mkfifo(folder / "cat" / "fifo.png")
    with pytest.raises(InputError, match=r"5 images can't be used; .*--skip-bad") as caught:
        opened(folder)
    lines = str(caught.value).splitlines()[1:]
    expected = ["way out.png: is a link", "empty.png: is empty", "fifo.png: is a FIFO", "half.png: is damaged"]
    assert all(any(text in line for line in lines) for text in [*expected, "lying.jpg: is not an image"]), lines
    found = opened(folder, skip_bad=True)
    assert (found.facts["bad"], len(found.train) + len(found.test)) == (5, 24)


def test_names_that_are_not_unicode_work(folder: Path, opened: Opened) -> None:
    picture(50).save(io.BytesIO(), "PNG")
    name = os.fsdecode(os.fsencode(folder / "cat") + b"/\xff\xfe.png")
    try:
        shutil.copy(folder / "cat" / "no 0.png", name)
    except OSError:
        pytest.skip("this file system takes Unicode names only")
    found = opened(folder)
    assert found.facts["duplicates"] == 1


def test_grey_only_if_every_file_is_grey(folder: Path, opened: Opened) -> None:
    for index, path in enumerate(sorted(folder.rglob("*.png"))):
        picture(index, mode="L").save(path)
    assert opened(folder).train.shape[1] == 1
    picture(99).save(folder / "cat" / "colour.png")
    assert opened(folder).train.shape[1] == 3


def test_images_of_several_sizes_are_stored_at_64_unless_a_size_is_given(folder: Path, opened: Opened) -> None:
    picture(50, (40, 100)).save(folder / "cat" / "tall.png")
    found = opened(folder)
    assert found.train.shape[2:] == (64, 64)
    assert (found.facts["resized"], found.facts["enlarged"]) == (25, 25)
    assert opened(folder, size=32).train.shape[2:] == (32, 32)


def test_duplicates_are_counted_and_never_straddle_a_split_by_content(folder: Path, opened: Opened) -> None:
    for path in list(folder.rglob("*.png")):
        shutil.copy(path, path.with_name(f"copy of {path.name}"))
    found = opened(folder)
    assert (found.facts["duplicates"], found.facts["in both splits"]) == (24, 0)


def test_given_splits_are_kept_and_shared_images_counted(opened: Opened, tmp_path: Path) -> None:
    for index in range(20):
        path = tmp_path / "set" / ("test" if index % 5 == 0 else "train") / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture(index % 16).save(path)
    found = opened(tmp_path / "set")
    assert (len(found.train), len(found.test), found.facts["split"]) == (16, 4, "given")
    assert found.train_labels is None
    assert found.facts["in both splits"] == 1


def test_too_few_images_are_refused_with_the_number_needed(opened: Opened, tmp_path: Path) -> None:
    (tmp_path / "few").mkdir()
    picture(0).save(tmp_path / "few" / "a.png")
    (tmp_path / "few" / "readme.txt").touch()
    with pytest.raises(InputError, match=r"1 image found \(1 other files skipped\); at least 16 are needed"):
        opened(tmp_path / "few")


@pytest.mark.parametrize("name", ["missing", "file.txt", "fifo.zip", "text.zip"])
def test_paths_that_hold_no_images_get_one_clear_line(opened: Opened, tmp_path: Path, name: str) -> None:
    (tmp_path / "file.txt").touch()
    (tmp_path / "text.zip").write_text("no zip")
    os.mkfifo(tmp_path / "fifo.zip")
    message = {
        "missing": "there is nothing at this path",
        "file.txt": "not a folder, nor a .zip",
        "fifo.zip": "is a FIFO",
        "text.zip": "not a valid zip",
    }[name]
    with pytest.raises(InputError, match=f"^--dataset pets=.*{message}"):
        opened(tmp_path / name)


def test_a_damaged_member_of_a_zip_is_named(opened: Opened, folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "pets.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for file in sorted(folder.rglob("*.png")):
            archive.write(file, file.relative_to(folder))
    data = bytearray(path.read_bytes())
    start = data.index(b"IDAT")
    data[start : start + 40] = bytes(40)
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"1 image can't be used; .*(\n.*)*damaged in the zip"):
        opened(path)


def test_the_name_of_another_data_set_is_refused(folder: Path, cache: Path) -> None:
    for name in ("mnist", "auto"):
        with pytest.raises(InputError, match="the name of another data set"):
            register_source(ImageSource(name, folder), gb.Options(cache_dir=cache), ignore_events)


def test_a_path_is_typed_with_a_name() -> None:
    assert parse_source("mnist") is None
    found = parse_source("cats=~/cats", 32)
    assert found == ImageSource("cats", Path.home() / "cats", 32)
    with pytest.raises(InputError, match="a path needs a name; type --dataset NAME=PATH"):
        parse_source("~/cats")
    with pytest.raises(InputError, match="'My cats' is not allowed"):
        parse_source("My cats=x")
    with pytest.raises(InputError, match="empty path"):
        parse_source("cats=")


def test_decoding_in_processes_equals_decoding_here(folder: Path) -> None:
    paths = [str(path.relative_to(folder)) for path in sorted(folder.rglob("*.png"))]
    done: list[int] = []
    here, there = (
        list(decode_all(Folder(folder), paths, 8, "white", on_progress=done.append, processes=count))
        for count in (1, 2)
    )
    assert done == [24, 24]
    for one, other in zip(here, there, strict=True):
        assert not isinstance(one, str)
        assert not isinstance(other, str)
        assert np.array_equal(one.pixels, other.pixels)


def test_an_empty_class_is_reported_and_no_class(folder: Path, opened: Opened) -> None:
    (folder / "fish").mkdir()
    (folder / "bird").mkdir()
    (folder / "bird" / "notes.txt").touch()
    found = opened(folder)
    assert found.facts["skipped"] == {"other files": 1, "folders without images": 2}
    assert len(found.facts["classes"]) == 2


def test_a_read_only_folder_works(folder: Path, opened: Opened) -> None:
    for path in [folder, *folder.iterdir()]:
        path.chmod(0o555)
    assert len(opened(folder).train) == 20
    for path in [folder, *folder.iterdir()]:
        path.chmod(0o755)


def test_links_to_folders_are_named_and_not_followed(folder: Path, opened: Opened, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    shutil.copy(folder / "cat" / "no 0.png", tmp_path / "outside" / "secret.png")
    (folder / "linked").symlink_to(tmp_path / "outside")
    (folder / "loop").symlink_to(folder)
    with pytest.raises(InputError, match="2 images can't be used") as caught:
        opened(folder)
    assert all(f"{name}: is a link" in str(caught.value) for name in ("linked", "loop"))
    assert opened(folder, skip_bad=True).facts["duplicates"] == 0
