"""Contract of every data set, `auto`, resizing and hashing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from helpers.data_root import DATA_ROOT
from helpers.events import notices_into

from gan_bench.core.errors import InputError
from gan_bench.core.events import Event, ignore_events
from gan_bench.data import archives
from gan_bench.data.base import ImageData, content_sha256, datasets, default_root, resized, resolve_dataset
from gan_bench.data.digits import upsampled

NAMES = datasets.names()
BUILT_IN = {
    "celeba", "cifar10", "digits", "emnist-digits", "fashion-mnist", "kmnist", "mnist", "stacked-mnist", "svhn",
    "synthetic", "synthetic-rgb",
}  # fmt: skip


def load(name: str) -> ImageData:
    source = datasets.get(name)
    if not source.is_available(DATA_ROOT):
        pytest.skip(f"{name} is not available")
    return source.load(DATA_ROOT, offline=True, on_event=ignore_events)


def fail_on_event(event: Event) -> None:
    pytest.fail(str(event))


def test_built_in_data_sets_are_registered() -> None:
    assert set(NAMES) >= BUILT_IN


@pytest.mark.parametrize("name", NAMES)
def test_dataset_contract(name: str) -> None:
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
def test_content_hash_is_unchanged(name: str, start: str) -> None:
    assert load(name).sha256.startswith(start), "earlier scores are of another protocol"


def test_content_hash_depends_on_values_shapes_and_labels() -> None:
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


def test_digits_splits_are_disjoint_and_stratified() -> None:
    data = load("digits")
    assert data.test_labels is not None
    assert data.test_labels.bincount().min() >= 45
    assert data.test_labels.bincount().max() <= 55
    train = {bytes(image.numpy()) for image in data.train}
    assert sum(bytes(image.numpy()) in train for image in data.test) == 0


def test_digits_upsampling_equals_bilinear_interpolation() -> None:
    from sklearn.datasets import load_digits

    small = torch.from_numpy(load_digits().images[:50])[:, None]
    expected = torch.nn.functional.interpolate(small * 255 / 16, (28, 28), mode="bilinear", align_corners=False)
    found = torch.from_numpy(upsampled(small[:, 0].long().numpy())).double()
    assert (found - expected[:, 0]).abs().max() <= 0.5 + 1e-9


def test_downloadable_data_sets_are_not_available_in_an_empty_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "SYSTEM_FOLDERS", {})
    for name in ("mnist", "fashion-mnist", "kmnist", "emnist-digits"):
        assert not datasets.get(name).is_available(tmp_path)


def test_resized_returns_images_of_the_right_size_unchanged() -> None:
    images = torch.randint(0, 256, (3, 1, 28, 28), dtype=torch.uint8)
    assert resized(images, 28) is images


@pytest.mark.parametrize("size", [16, 32, 64])
def test_resized_preserves_dtype_and_constant_images(size: int) -> None:
    images = torch.stack([torch.full((3, 28, 28), value, dtype=torch.uint8) for value in (0, 77, 255)])
    result = resized(images, size)
    assert result.dtype == torch.uint8
    assert result.shape == (3, 3, size, size)
    assert [int(image.unique()) for image in result] == [0, 77, 255]


def test_resized_does_not_depend_on_the_chunk_size() -> None:
    images = torch.randint(0, 256, (10, 1, 28, 28), dtype=torch.uint8)
    assert torch.equal(resized(images, 64, chunk=3), resized(images, 64))
    assert resized(images[:0], 64).shape == (0, 1, 64, 64)


def test_downsampling_is_antialiased() -> None:
    stripes = (torch.arange(64) % 2 * 255).to(torch.uint8).expand(1, 1, 64, 64).contiguous()
    inner = resized(stripes, 16)[..., 2:-2].float()
    assert (inner - 127.5).abs().max() < 20, "aliased: stripes should average to grey"


def test_auto_is_mnist_if_available() -> None:
    load("mnist")
    assert resolve_dataset("auto", DATA_ROOT, offline=True, on_event=fail_on_event) == "mnist"


def test_auto_falls_back_to_digits_with_a_notice(tmp_path: Path) -> None:
    notices: list[str] = []
    assert resolve_dataset("auto", tmp_path, offline=True, on_event=notices_into(notices)) == "digits"
    assert notices[0].startswith("MNIST is not available; using the embedded `digits` instead.")
    assert "--offline or --dry-run was given" in notices[0]


def test_unknown_data_set_raises_with_the_closest_name() -> None:
    assert resolve_dataset("kmnist", Path("nowhere"), offline=True, on_event=fail_on_event) == "kmnist"
    with pytest.raises(InputError, match="did you mean mnist"):
        resolve_dataset("mnits", Path("nowhere"), offline=True, on_event=fail_on_event)


def test_default_root_is_gan_bench_data_if_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GAN_BENCH_DATA", str(tmp_path))
    assert default_root() == tmp_path
    monkeypatch.delenv("GAN_BENCH_DATA")
    assert default_root().name == "data"


NO_NETWORK = """
import socket, sys
def fail(*args, **kwargs):
    raise AssertionError("network access")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = fail
from pathlib import Path
from gan_bench.data.base import datasets, resolve_dataset
from gan_bench.core.errors import InputError
from gan_bench.core.events import ignore_events
root = Path(sys.argv[1])
for name in datasets:
    source = datasets.get(name)
    if source.is_available(root):
        source.load(root, offline=True, on_event=ignore_events)
    else:
        try:
            source.load(root, offline=True, on_event=ignore_events)
        except InputError as error:
            assert "--offline" in str(error) and "--data-root" in str(error), error
        else:
            raise AssertionError(name)
print(resolve_dataset("auto", root, offline=True, on_event=ignore_events))
"""


@pytest.mark.slow
def test_offline_loading_does_not_access_the_network(tmp_path: Path) -> None:
    command = [sys.executable, "-c", NO_NETWORK, str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == "digits"


def test_stacked_mnist_has_a_digit_in_each_channel_that_its_label_names() -> None:
    mnist, stacked = load("mnist"), load("stacked-mnist")
    assert stacked.train_labels is not None
    assert mnist.train_labels is not None
    digits = {
        image.numpy().tobytes(): int(label) for image, label in zip(mnist.train, mnist.train_labels, strict=True)
    }
    for image, label in zip(stacked.train[:50], stacked.train_labels[:50], strict=True):
        assert [digits[channel.numpy().tobytes()] for channel in image] == [int(digit) for digit in f"{label:03d}"]
    assert stacked.sha256.startswith("21a1fa05"), "earlier scores are of another protocol"
