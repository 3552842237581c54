"""What every data set must keep to, and the choice between them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from gan_bench.data.dataset import ImageData, choose, content_sha256, datasets, default_root, resized
from gan_bench.data.digits import enlarged
from gan_bench.errors import InputError

ROOT = Path(os.environ.get("GAN_BENCH_DATA", Path(__file__).parents[2].parent / "shared" / "data"))
NAMES = ["digits", "emnist-digits", "fashion-mnist", "kmnist", "mnist", "synthetic", "synthetic-rgb"]


def load(name: str) -> ImageData:
    source = datasets.get(name)
    if not source.at_hand(ROOT):
        pytest.skip(f"{name} is not at hand")
    return source.load(ROOT, offline=True, notify=print)


def test_the_data_sets_are_there() -> None:
    assert set(NAMES) <= set(datasets.names())


@pytest.mark.parametrize("name", NAMES)
def test_contract(name: str) -> None:
    data, source = load(name), datasets.get(name)
    assert data.name == name
    assert data.n_classes == source.n_classes
    splits = [(data.train, data.train_labels, source.train_size), (data.test, data.test_labels, source.test_size)]
    for images, labels, size in splits:
        assert images.dtype == torch.uint8
        assert images.shape == (size, source.channels, source.native_size, source.native_size)
        assert images.is_contiguous()
        assert images.float().std() > 10
        assert labels is not None
        assert labels.dtype == torch.int64
        assert labels.shape == (size,)
        assert set(labels.unique().tolist()) == set(range(data.n_classes))


@pytest.mark.parametrize("name", NAMES)
def test_content_hash_is_stable(name: str) -> None:
    data = load(name)
    assert data.sha256 == load(name).sha256
    assert data.sha256 == content_sha256(data.train, data.train_labels, data.test, data.test_labels)


@pytest.mark.parametrize(
    ("name", "start"), [("digits", "1c30d75d"), ("synthetic", "bec27dbe"), ("mnist", "6a84a364")]
)
def test_content_is_what_it_was(name: str, start: str) -> None:
    assert load(name).sha256.startswith(start), "scores of before stand under another protocol now"


def test_content_hash_sees_every_part() -> None:
    images, labels = torch.zeros(4, 1, 2, 2, dtype=torch.uint8), torch.zeros(4, dtype=torch.int64)
    changed = images.clone()
    changed[3, 0, 1, 1] = 1
    hashes = {
        content_sha256(images, labels),
        content_sha256(changed, labels),
        content_sha256(images, labels + 1),
        content_sha256(images, None),
        content_sha256(images.reshape(4, 1, 1, 4), labels),
    }
    assert len(hashes) == 5


def test_digits_split_shares_no_image_and_is_stratified() -> None:
    data = load("digits")
    assert data.test_labels is not None
    assert data.test_labels.bincount().min() >= 45
    assert data.test_labels.bincount().max() <= 55
    train = {bytes(image.numpy()) for image in data.train}
    assert sum(bytes(image.numpy()) in train for image in data.test) == 0


def test_digits_are_enlarged_as_bilinear_interpolation_does_it() -> None:
    from sklearn.datasets import load_digits

    small = torch.from_numpy(load_digits().images[:50])[:, None]
    expected = torch.nn.functional.interpolate(small * 255 / 16, (28, 28), mode="bilinear", align_corners=False)
    found = torch.from_numpy(enlarged(small[:, 0].long().numpy())).double()
    assert (found - expected[:, 0]).abs().max() <= 0.5 + 1e-9


def test_at_hand_is_false_in_an_empty_folder(tmp_path: Path) -> None:
    for name in ("mnist", "fashion-mnist", "kmnist", "emnist-digits"):
        assert not datasets.get(name).at_hand(tmp_path)


def test_resized_is_the_identity_at_the_right_size() -> None:
    images = torch.randint(0, 256, (3, 1, 28, 28), dtype=torch.uint8)
    assert resized(images, 28) is images


@pytest.mark.parametrize("size", [16, 32, 64])
def test_resized_keeps_type_range_and_flat_images(size: int) -> None:
    images = torch.stack([torch.full((3, 28, 28), value, dtype=torch.uint8) for value in (0, 77, 255)])
    found = resized(images, size)
    assert found.dtype == torch.uint8
    assert found.shape == (3, 3, size, size)
    assert [int(image.unique()) for image in found] == [0, 77, 255]


def test_resized_in_chunks_equals_resized_at_once() -> None:
    images = torch.randint(0, 256, (10, 1, 28, 28), dtype=torch.uint8)
    assert torch.equal(resized(images, 64, chunk=3), resized(images, 64))
    assert resized(images[:0], 64).shape == (0, 1, 64, 64)


def test_resized_smooths_when_it_makes_smaller() -> None:
    stripes = (torch.arange(64) % 2 * 255).to(torch.uint8).expand(1, 1, 64, 64).contiguous()
    inner = resized(stripes, 16)[..., 2:-2].float()
    assert (inner - 127.5).abs().max() < 20, "aliased: the stripes should have blurred to grey"


def test_auto_is_mnist_where_it_is_at_hand() -> None:
    load("mnist")
    assert choose("auto", ROOT, offline=True, notify=pytest.fail) == "mnist"


def test_auto_is_digits_elsewhere_said_loudly(tmp_path: Path) -> None:
    said: list[str] = []
    assert choose("auto", tmp_path, offline=True, notify=said.append) == "digits"
    assert "MNIST" in said[0]
    assert "digits" in said[0]


def test_a_name_is_checked() -> None:
    assert choose("kmnist", Path("nowhere"), offline=True, notify=pytest.fail) == "kmnist"
    with pytest.raises(InputError, match="did you mean mnist"):
        choose("mnits", Path("nowhere"), offline=True, notify=pytest.fail)


def test_default_root_is_the_named_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GAN_BENCH_DATA", str(tmp_path))
    assert default_root() == tmp_path
    monkeypatch.delenv("GAN_BENCH_DATA")
    assert default_root().name == "data"


NO_NETWORK = """
import socket, sys
def refuse(*args, **kwargs):
    raise AssertionError("the network was used")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
from pathlib import Path
from gan_bench.data.dataset import choose, datasets
from gan_bench.errors import InputError
root = Path(sys.argv[1])
for name in datasets:
    source = datasets.get(name)
    if source.at_hand(root):
        source.load(root, offline=True, notify=print)
    else:
        try:
            source.load(root, offline=True, notify=print)
        except InputError as error:
            assert "--offline" in str(error) and "--data-root" in str(error), error
        else:
            raise AssertionError(name)
print(choose("auto", root, offline=True, notify=lambda text: None))
"""


def test_nothing_needs_a_network(tmp_path: Path) -> None:
    command = [sys.executable, "-c", NO_NETWORK, str(tmp_path)]
    found = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert found.returncode == 0, found.stderr
    assert found.stdout.splitlines()[-1] == "digits"
