"""Archives in a folder or behind an address: decoded as they lie, verified, and every failure one clear error."""

from __future__ import annotations

import contextlib
import functools
import gzip
import hashlib
import http.server
import os
import stat
import struct
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from gan_bench.data import download, emnist_digits
from gan_bench.data.archives import MnistArchives, read_idx, torchvision_trouble
from gan_bench.data.emnist_digits import EmnistDigits
from gan_bench.errors import InputError

FILES = ["train-images.gz", "train-labels.gz", "test-images.gz", "test-labels.gz"]


def idx(values: NDArray[np.uint8]) -> bytes:
    header = bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape)
    return gzip.compress(header + values.tobytes(), mtime=0)


def contents() -> dict[str, bytes]:
    draws = np.random.RandomState(0)
    arrays = [
        draws.randint(0, 256, size=shape).astype(np.uint8) for shape in ((20, 28, 28), (20,), (10, 28, 28), (10,))
    ]
    return {name: idx(array if array.ndim == 3 else array % 10) for name, array in zip(FILES, arrays, strict=True)}


class Tiny(MnistArchives):
    limit_seconds = 3.0
    addresses: list[str] = []

    def __init__(self) -> None:
        super().__init__("tiny", "Tiny", "Tiny", "made here")

    def resources(self) -> list[tuple[str, str]]:
        return [(name, hashlib.md5(data).hexdigest()) for name, data in contents().items()]

    def mirrors(self) -> list[str]:
        return self.addresses


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "Tiny" / "raw"
    folder.mkdir(parents=True)
    for name, data in contents().items():
        (folder / name).write_bytes(data)
    return tmp_path


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    served = tmp_path / "served"
    served.mkdir()
    for name, data in contents().items():
        (served / name).write_bytes(data)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            if self.path.startswith("/drip/"):
                self.send_response(200)
                self.end_headers()
                with contextlib.suppress(OSError):  # the other side hangs up, as it should
                    for _ in range(600):
                        self.wfile.write(b"x")
                        time.sleep(0.1)
            else:
                super().do_GET()

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(served)))
    server.daemon_threads = True
    server.block_on_close = False
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()
    thread.join()


def test_archives_are_decoded_where_they_lie(root: Path) -> None:
    source = Tiny()
    before = sorted(root.rglob("*"))
    assert source.at_hand(root)
    data = source.load(root, offline=True, notify=pytest.fail)
    assert data.train.shape == (20, 1, 28, 28)
    first = np.random.RandomState(0).randint(0, 256, size=(20, 28, 28)).astype(np.uint8)
    assert torch.equal(data.train[:, 0], torch.from_numpy(first))
    assert sorted(root.rglob("*")) == before, "nothing is written beside the archives"


def test_missing_and_offline_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--offline was given: give --data-root FOLDER with Tiny/raw/\*\.gz"):
        Tiny().load(tmp_path, offline=True, notify=pytest.fail)


def test_damage_is_named_and_never_written_over(root: Path, address: str) -> None:
    source = Tiny()
    source.addresses = [address]
    path = root / "Tiny" / "raw" / FILES[2]
    path.write_bytes(b"damaged")
    assert not source.at_hand(root)
    with pytest.raises(InputError, match=rf"{FILES[2]} is damaged .*delete it"):
        source.load(root, offline=False, notify=print)
    assert path.read_bytes() == b"damaged"


def test_what_is_missing_is_downloaded_and_announced(root: Path, address: str) -> None:
    source = Tiny()
    source.addresses = ["http://127.0.0.1:9/", f"{address}absent/", address]  # refused, 404, good
    folder = root / "Tiny" / "raw"
    kept = (folder / FILES[0]).stat().st_mtime_ns
    (folder / FILES[3]).unlink()
    said: list[str] = []
    data = source.load(root, offline=False, notify=said.append)
    assert len(data.test) == 10
    assert any(address in line for line in said)
    assert (folder / FILES[0]).stat().st_mtime_ns == kept, "what was there is not fetched again"
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)


def test_what_is_downloaded_is_as_open_as_any_new_file(root: Path, address: str) -> None:
    """A data root may be shared: the next user reads what the first one fetched."""
    source, path = Tiny(), root / "Tiny" / "raw" / FILES[3]
    source.addresses = [address]
    path.unlink()
    before = os.umask(0o027)
    try:
        source.load(root, offline=False, notify=print)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_wrong_download_leaves_nothing(tmp_path: Path, address: str) -> None:
    (tmp_path / "served" / FILES[0]).write_bytes(b"an error page")
    source = Tiny()
    source.addresses = [address]
    with pytest.raises(InputError, match=r"md5 is wrong.*--dataset digits"):
        source.load(tmp_path, offline=False, notify=print)
    assert list((tmp_path / "Tiny" / "raw").iterdir()) == []


def test_a_dripping_server_meets_the_time_limit(tmp_path: Path, address: str) -> None:
    source = Tiny()
    source.addresses, source.limit_seconds = [f"{address}drip/"], 0.5
    started = time.monotonic()
    with pytest.raises(InputError, match="time limit"):
        source.load(tmp_path, offline=False, notify=print)
    assert time.monotonic() - started < 30
    assert list((tmp_path / "Tiny" / "raw").iterdir()) == []


def test_a_folder_that_cannot_be_written_to_matters_only_for_a_download(
    root: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(download.tempfile, "TemporaryFile", refuse)
    source = Tiny()
    source.addresses = [address]
    assert len(source.load(root, offline=False, notify=pytest.fail).train) == 20
    (root / "Tiny" / "raw" / FILES[1]).unlink()
    with pytest.raises(InputError, match=r"can't be written to \(.*Permission denied.*--data-root"):
        source.load(root, offline=False, notify=pytest.fail)


def test_emnist_is_read_from_its_zip_and_turned_upright(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "EMNIST" / "raw"
    folder.mkdir(parents=True)
    upright = np.zeros((10, 28, 28), dtype=np.uint8)
    upright[:, 2, 5:20] = 200  # a horizontal bar near the top
    with zipfile.ZipFile(folder / "gzip.zip", "w") as archive:
        for member in emnist_digits.MEMBERS:
            labels = np.arange(10, dtype=np.uint8)
            archive.writestr(
                member, idx(np.ascontiguousarray(upright.swapaxes(1, 2)) if "images" in member else labels)
            )
    md5 = hashlib.md5((folder / "gzip.zip").read_bytes()).hexdigest()
    monkeypatch.setattr(EmnistDigits, "resources", lambda self: [("gzip.zip", md5)])
    source = EmnistDigits("emnist-digits", "EMNIST", "EMNIST digits", "test")
    assert source.at_hand(tmp_path)
    data = source.load(tmp_path, offline=True, notify=pytest.fail)
    assert torch.equal(data.train[:, 0], torch.from_numpy(upright))
    assert data.test_labels is not None
    assert data.test_labels.tolist() == list(range(10))


def test_a_zip_without_the_digits_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "EMNIST" / "raw"
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / "gzip.zip", "w") as archive:
        archive.writestr("other", b"")
    md5 = hashlib.md5((folder / "gzip.zip").read_bytes()).hexdigest()
    monkeypatch.setattr(EmnistDigits, "resources", lambda self: [("gzip.zip", md5)])
    with pytest.raises(InputError, match="not the EMNIST archive"):
        EmnistDigits("emnist-digits", "EMNIST", "E", "test").load(tmp_path, offline=True, notify=pytest.fail)


@given(st.binary(max_size=64), st.booleans())
def test_garbage_is_an_input_error_and_nothing_else(raw: bytes, packed: bool) -> None:
    data = gzip.compress(raw) if packed else raw
    with contextlib.suppress(InputError):
        assert read_idx(data, "some.gz").dtype == torch.uint8


def test_disagreeing_torchvision_is_explained() -> None:
    text = torchvision_trouble(RuntimeError("operator torchvision::nms does not exist"))
    assert "torchvision" in text
    assert torch.__version__ in text
    assert "install" in text
