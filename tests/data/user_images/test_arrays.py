"""Array files: layouts, types, names of splits and labels, and what is refused."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gan_bench.core.errors import InputError
from gan_bench.data.user_images.arrays import as_bytes, parse_npy, read_arrays

ASKED = "--dataset x=y"


def npy(array: Any) -> bytes:
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def saved(tmp_path: Path, **arrays: Any) -> Path:
    path = tmp_path / "x.npz"
    np.savez(path, **arrays)
    return path


def test_splits_and_labels_are_found_by_the_names_that_keras_gives(tmp_path: Path) -> None:
    images = np.zeros((3, 8, 8), np.uint8)
    path = saved(tmp_path, x_train=images, y_train=[[2], [0], [1]], x_test=images[:1], y_test=[[1]])
    listing = read_arrays(path, ASKED).listing()
    assert [(file.path, file.split, int(file.label)) for file in listing.files] == [
        ("train/0", "train", 2), ("train/1", "train", 0), ("train/2", "train", 1), ("test/0", "test", 1)
    ]  # fmt: skip


def test_numbered_classes_are_sorted_as_numbers(tmp_path: Path) -> None:
    path = saved(tmp_path, images=np.zeros((2, 8, 8), np.uint8), labels=[10, 9])
    labels = [file.label for file in read_arrays(path, ASKED).listing().files]
    assert sorted(labels) == labels[::-1]


@pytest.mark.parametrize(
    "shape", [(2, 8, 8), (2, 8, 8, 1), (2, 8, 8, 3), (2, 3, 8, 8), (2, 1, 8, 8), (2, 8, 8, 4)]
)
def test_layouts_of_arrays(tmp_path: Path, shape: tuple[int, ...]) -> None:
    np.save(tmp_path / "x.npy", np.full(shape, 7, np.uint8))
    arrays = read_arrays(tmp_path / "x.npy", ASKED)
    [first, _] = arrays.read([file.path for file in arrays.listing().files])
    assert not isinstance(first, Exception)
    assert first.size == (8, 8)
    assert first.mode == ("L" if 3 not in shape and 4 not in shape else "RGBA" if 4 in shape else "RGB")


@pytest.mark.parametrize(
    ("value", "expected"),
    [(np.uint16(65535), 255), (np.uint16(257), 1), (np.float32(1), 255), (np.float64(0.5), 128), (True, 255)],
)
def test_values_are_scaled_to_bytes(value: Any, expected: int) -> None:
    assert as_bytes(np.array([value]), "x").tolist() == [expected]


@pytest.mark.parametrize("value", [np.float32(-0.5), np.float32("nan"), np.int64(256), np.float32(200)])
def test_values_of_an_unknown_range_are_refused(value: Any) -> None:
    with pytest.raises(InputError, match="save uint8 from 0 to 255"):
        as_bytes(np.array([value]), "x")


def test_objects_and_lying_shapes_are_refused() -> None:
    with pytest.raises(InputError, match="values of type"):
        parse_npy(npy(np.array([{}, {}], dtype=object)), "x")
    good = npy(np.zeros((2, 8, 8), np.uint8))
    with pytest.raises(InputError, match="incomplete"):
        parse_npy(good.replace(b"(2, 8, 8)", b"(9, 8, 8)"), "x")
    with pytest.raises(InputError, match=r"not a \.npy array"):
        parse_npy(good[:20], "x")


def test_arrays_of_unknown_names_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"its arrays are 'a.npy', 'b.npy'; name them images and labels"):
        read_arrays(saved(tmp_path, a=[1], b=[2]), ASKED)


def test_labels_of_another_count_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has 2 images, but labels of int64 \[3\]"):
        read_arrays(saved(tmp_path, images=np.zeros((2, 8, 8), np.uint8), labels=[1, 2, 3]), ASKED)


def test_a_zip_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.npz").write_bytes(b"PK no zip")
    with pytest.raises(InputError, match=r"not a valid \.npz file"):
        read_arrays(tmp_path / "x.npz", ASKED)
    with zipfile.ZipFile(tmp_path / "y.npz", "w") as archive:
        archive.writestr("images.npy", b"damaged")
    with pytest.raises(InputError, match=r"not a \.npy array"):
        read_arrays(tmp_path / "y.npz", ASKED)
