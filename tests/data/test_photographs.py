"""CIFAR-10, SVHN and CelebA from tiny files in their formats."""

from __future__ import annotations

import hashlib
import io
import pickle
import struct
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.events import notices_into
from PIL import Image
from scipy.io import savemat

from gan_bench.core.errors import InputError
from gan_bench.core.events import Event, ignore_events
from gan_bench.data import celeba
from gan_bench.data.celeba import CelebA
from gan_bench.data.cifar10 import FOLDER, Cifar10, read_batch
from gan_bench.data.svhn import Svhn, read_mat

BATCHES = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]


def pixels(number: int) -> np.ndarray:
    return np.random.RandomState(number).randint(0, 256, (2, 3072)).astype(np.uint8)


def text(value: bytes) -> bytes:
    return b"T" + struct.pack("<i", len(value)) + value


def integer(value: int) -> bytes:
    return b"J" + struct.pack("<i", value)


def batch(number: int) -> bytes:
    """A pickle as Python 2 wrote the published files: text is bytes, and arrays are of numpy.core."""
    images = pixels(number)
    dtype = b"cnumpy\ndtype\n" + text(b"u1") + integer(0) + integer(1) + b"\x87R"
    dtype += b"(" + integer(3) + text(b"|") + b"NNN" + integer(-1) * 2 + integer(0) + b"tb"
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n"
    array += integer(0) + b"\x85" + text(b"b") + b"\x87R"
    array += b"(" + integer(1) + b"".join(map(integer, images.shape)) + b"\x86" + dtype + b"\x89"
    array += text(images.tobytes()) + b"tb"
    labels = b"](" + integer(number) + integer(9 - number) + b"e"
    return b"\x80\x02}(" + text(b"data") + array + text(b"labels") + labels + b"u."


@pytest.fixture
def cifar10(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cifar10:
    """The archive of six batches of two images, in a data root."""
    contents = {name: batch(number) for number, name in enumerate(BATCHES)}
    with tarfile.open(tmp_path / "cifar-10-python.tar.gz", "w:gz") as archive:
        for name, data in contents.items():
            member = tarfile.TarInfo(f"{FOLDER}/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    archive_md5 = hashlib.md5((tmp_path / "cifar-10-python.tar.gz").read_bytes()).hexdigest()
    md5s = [(name, hashlib.md5(data).hexdigest()) for name, data in contents.items()]
    monkeypatch.setattr(Cifar10, "resources", lambda self: [("cifar-10-python.tar.gz", archive_md5)])
    monkeypatch.setattr(Cifar10, "batches", lambda self: md5s)
    return Cifar10("cifar10", "CIFAR10", "CIFAR-10", "a test")


def fail_on_event(event: Event) -> None:
    pytest.fail(str(event))


def test_cifar10_is_read_from_its_archive_and_from_its_folder(cifar10: Cifar10, tmp_path: Path) -> None:
    data = cifar10.load(tmp_path, offline=True, on_event=fail_on_event)
    assert data.train.shape == (10, 3, 32, 32)
    assert torch.equal(data.test, torch.from_numpy(pixels(5).reshape(2, 3, 32, 32)))
    assert data.test_labels is not None
    assert data.test_labels.tolist() == [5, 4]
    with tarfile.open(tmp_path / "cifar-10-python.tar.gz") as archive:
        archive.extractall(tmp_path / "deeper", filter="data")
    (tmp_path / "cifar-10-python.tar.gz").unlink()
    assert cifar10.is_available(tmp_path)
    assert cifar10.load(tmp_path, offline=True, on_event=fail_on_event).sha256 == data.sha256


def test_a_damaged_batch_is_named(cifar10: Cifar10, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "cifar-10-python.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(b"other")
    (tmp_path / FOLDER / "test_batch").write_bytes(batch(1))
    assert not cifar10.is_available(tmp_path)
    with pytest.raises(InputError, match=r"tar\.gz is damaged \(MD5"):
        cifar10.load(tmp_path, offline=True, on_event=fail_on_event)
    assert f"{FOLDER}/test_batch is damaged" in cifar10.explain_absence(tmp_path)


def test_a_batch_executes_no_code() -> None:
    for data in (b"cos\nsystem\n(S'touch it'\ntR.", b"", b"no pickle", pickle.dumps({"labels": [1, 2]})):
        with pytest.raises(InputError, match="not a batch of CIFAR-10"):
            read_batch(data, "data_batch_1")


def test_svhn_images_are_upright_and_zero_is_zero(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = np.random.RandomState(0).randint(0, 256, (32, 32, 3, 4)).astype(np.uint8)
    (tmp_path / "svhn").mkdir()
    md5s = []
    for name in ("train_32x32.mat", "test_32x32.mat"):
        path = tmp_path / "svhn" / name
        savemat(path, {"X": images, "y": np.array([[10], [1], [9], [5]], np.uint8)})
        md5s.append((name, hashlib.md5(path.read_bytes()).hexdigest()))
    monkeypatch.setattr(Svhn, "resources", lambda self: md5s)
    data = Svhn("svhn", "SVHN", "SVHN", "a test").load(tmp_path, offline=True, on_event=fail_on_event)
    assert data.train_labels is not None
    assert data.train_labels.tolist() == [0, 1, 9, 5]
    assert np.array_equal(data.train[2].permute(1, 2, 0).numpy(), images[..., 2])


@pytest.mark.parametrize("data", [b"", b"no mat file" * 100])
def test_other_files_are_no_svhn(data: bytes) -> None:
    with pytest.raises(InputError, match="not a file of SVHN"):
        read_mat(data, "train_32x32.mat")


@pytest.fixture
def faces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Six faces: three for training, one for validation, two for testing."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "celeba"
    (folder / celeba.IMAGES).mkdir(parents=True)
    for number in range(6):
        Image.new("RGB", (178, 218), (40 * number, 0, 0)).save(folder / celeba.IMAGES / f"{number:06d}.jpg")
    lines = "".join(f"{number:06d}.jpg {split}\n" for number, split in enumerate("000122"))
    (folder / celeba.PARTITION).write_text(lines)
    monkeypatch.setattr(celeba, "PARTITION_MD5", hashlib.md5(lines.encode()).hexdigest())
    return tmp_path


def test_celeba_is_split_as_published_and_decoded_once(faces: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = CelebA()
    assert dataset.is_available(faces)
    data = dataset.load(faces, offline=True, on_event=ignore_events)
    assert not (faces / "cache").exists(), "a dry run wrote files"
    assert (data.train.shape, data.test.shape) == ((3, 3, 64, 64), (2, 3, 64, 64))
    assert abs(int(data.test[1, 0, 30, 30]) - 200) < 4
    assert dataset.load(faces / "celeba", offline=False, on_event=ignore_events).sha256 == data.sha256
    monkeypatch.setattr(celeba, "decode_all", lambda *args, **options: pytest.fail("decoded again"))
    assert dataset.load(faces, offline=False, on_event=ignore_events).sha256 == data.sha256


def test_celeba_says_what_is_missing_and_which_images_are_damaged(faces: Path) -> None:
    notices: list[str] = []
    (faces / "celeba" / celeba.IMAGES / "000000.jpg").write_bytes(b"")
    with pytest.raises(InputError, match=r"000000\.jpg is empty: unpack the archive again"):
        CelebA().load(faces, offline=True, on_event=notices_into(notices))
    (faces / "celeba" / celeba.PARTITION).unlink()
    with pytest.raises(InputError, match=r"seen: .*img_align_celeba, but .*list_eval_partition\.txt is missing"):
        CelebA().load(faces, offline=True, on_event=notices_into(notices))
