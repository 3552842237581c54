"""Layouts of folders and zips: splits, classes, and what is skipped."""

from __future__ import annotations

import pytest

from gan_bench.core.errors import InputError
from gan_bench.data.user_images.listing import class_names, list_images


def layout(*paths: str) -> list[tuple[str, str]]:
    return [(file.split, file.label) for file in list_images(paths, "--dataset x=y").files]


def test_a_flat_folder_has_no_classes() -> None:
    assert layout("a.png", "b.jpg") == [("", ""), ("", "")]


def test_one_folder_a_class_at_any_depth_below() -> None:
    assert layout("cat/a.png", "dog/more/b.JPG") == [("", "cat"), ("", "dog")]


def test_folders_of_splits_with_and_without_classes() -> None:
    assert layout("train/cat/a.png", "test/cat/b.png") == [("test", "cat"), ("train", "cat")]
    assert layout("Train/a.png", "val/b.png") == [("train", ""), ("test", "")]


def test_folders_that_wrap_everything_are_passed_through() -> None:
    assert layout("set/train/cat/a.png", "set/test/cat/b.png") == [("test", "cat"), ("train", "cat")]
    assert layout("set/train/cat/a.png", "set/train/dog/b.png") == [("", "cat"), ("", "dog")]


def test_one_class_is_no_label() -> None:
    assert layout("cat/a.png", "cat/b.png") == [("", ""), ("", "")]
    assert class_names(list_images(["train/cat/a.png", "test/cat/b.png"], "").files) == ()


def test_hidden_files_thumbnails_and_other_files_are_skipped_and_counted() -> None:
    paths = ["a.png", ".a.png", "__MACOSX/a.png", "Thumbs.db", ".thumbnails/a.png", "notes.txt", "labels.csv"]
    listing = list_images(paths, "")
    assert [file.path for file in listing.files] == ["a.png"]
    assert listing.skipped == {"hidden files": 4, "other files": 2}


def test_images_beside_the_folders_of_splits_are_skipped_and_counted() -> None:
    listing = list_images(["train/a.png", "test/b.png", "cover.png", "extra/c.png"], "")
    assert len(listing.files) == 2
    assert listing.skipped == {"images beside the folders of the splits": 2}


def test_images_of_formats_that_are_not_read_are_named() -> None:
    assert list_images(["a.heic"], "").faults == ["a.heic: .heic files are not read; convert it to PNG or JPEG"]


def test_images_beside_class_folders_are_refused() -> None:
    with pytest.raises(InputError, match=r"'a.png' lies beside class folders such as 'dog'"):
        list_images(["a.png", "dog/b.png"], "--dataset x=y")


def test_a_test_class_without_training_images_is_refused() -> None:
    with pytest.raises(InputError, match="class 'dog' has test images but no training images"):
        list_images(["train/cat/a.png", "test/dog/b.png"], "--dataset x=y")
