"""Atomic writes, creation of files, temporary files and links."""

from __future__ import annotations

import errno
import json
import os
import stat
from pathlib import Path

import pytest

from gan_bench.core import files
from gan_bench.core.errors import RunError


def test_write_bytes_replaces_the_file_and_leaves_no_temporary_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    files.write_bytes(path, b"old")
    assert files.write_bytes(path, "näu".encode()) == path
    assert path.read_bytes() == "näu".encode()
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize("call", ["open", "fsync", "replace"])
def test_failed_write_raises_run_error_and_keeps_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    path = tmp_path / "a.json"
    files.write_bytes(path, b"old")

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, call, fail)
    monkeypatch.setattr(Path, "replace", fail if call == "replace" else Path.replace)
    with pytest.raises(RunError, match="no space left on device; free some space"):
        files.write_bytes(path, b"new")
    monkeypatch.undo()
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_interrupted_write_leaves_no_temporary_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        files.write_bytes(tmp_path / "a.json", b"new")
    assert [p.name for p in tmp_path.iterdir()] == []


def test_write_flushes_the_file_then_renames_then_flushes_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    fsync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (calls.append("fsync"), fsync(fd)))
    monkeypatch.setattr(Path, "replace", lambda self, to: (calls.append("replace"), replace(self, to)))
    files.write_bytes(tmp_path / "a", b"x")
    assert calls == ["fsync", "replace", "fsync"]


def test_json_bytes_replaces_nan_and_infinity_by_null(tmp_path: Path) -> None:
    files.write_bytes(tmp_path / "a", files.json_bytes({"a": [float("nan"), 1.0], "b": (float("inf"), "text")}))

    def forbidden(constant: str) -> float:
        raise AssertionError(constant)

    values = json.loads((tmp_path / "a").read_text(), parse_constant=forbidden)
    assert values == {"a": [None, 1.0], "b": [None, "text"]}


def test_temporary_files_finds_marked_and_unmarked_files_and_follows_no_link(tmp_path: Path) -> None:
    outside, folder = tmp_path / "outside", tmp_path / "folder"
    for subfolder in (outside, folder / "samples"):
        subfolder.mkdir(parents=True)
        (subfolder / ".a.png.1.0123abcd.tmp").write_text("x")
    (folder / "link").symlink_to(outside)
    (folder / "spec.json").write_text("x")
    (folder / ".old.json.123.tmp").write_text("x")
    with files.temporary(folder / "b.json", mark=12) as new:
        new.write_text("x")
        found = dict(files.temporary_files(folder))
    assert found == {
        folder / "samples" / ".a.png.1.0123abcd.tmp": 1,
        folder / ".old.json.123.tmp": 0,
        new: 12,
    }
    assert not new.exists()


def test_temporary_files_raises_for_an_unreadable_folder(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="none"):
        list(files.temporary_files(tmp_path / "none"))


def test_create_bytes_is_true_for_the_first_process_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert files.create_bytes(tmp_path / "a", b"first")
    assert not files.create_bytes(tmp_path / "a", b"second")
    monkeypatch.setattr(os, "link", no_links)
    assert not files.create_bytes(tmp_path / "a", b"third")
    assert files.create_bytes(tmp_path / "b", b"no links here")
    contents = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert contents == {"a": b"first", "b": b"no links here"}


@pytest.mark.parametrize("links", [True, False])
def test_create_bytes_is_false_if_the_temporary_file_was_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    link = os.link

    def remove_first(new: Path, path: Path) -> None:
        path.write_bytes(b"first")
        new.unlink()
        (link if links else no_links)(new, path)

    monkeypatch.setattr(os, "link", remove_first)
    assert not files.create_bytes(tmp_path / "a", b"second")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"first"}


def no_links(*_: object, **__: object) -> None:
    raise OSError(errno.EPERM, os.strerror(errno.EPERM))


def test_atomic_file_replaces_the_file_only_if_the_block_succeeds(tmp_path: Path) -> None:
    path = tmp_path / "weights.bin"
    with files.atomic_file(path) as file:
        file.write(b"old")

    def fail() -> None:
        with files.atomic_file(path) as file:
            file.write(b"new")
            raise ValueError("checksum mismatch")

    with pytest.raises(ValueError, match="mismatch"):
        fail()
    assert {entry.name: entry.read_bytes() for entry in tmp_path.iterdir()} == {"weights.bin": b"old"}


@pytest.mark.skipif(os.name != "posix", reason="POSIX permissions")
@pytest.mark.parametrize(("folder_mode", "file_mode"), [(0o700, 0o600), (0o755, 0o640)])
def test_atomic_file_is_as_readable_as_its_folder(tmp_path: Path, folder_mode: int, file_mode: int) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    folder.chmod(folder_mode)
    before = os.umask(0o027)
    try:
        with files.atomic_file(folder / "a") as file:
            file.write(b"x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((folder / "a").stat().st_mode) == file_mode


def test_inside_resolves_links(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "link").symlink_to(tmp_path)
    assert files.inside(root / "a" / ".." / "b", root)
    assert not files.inside(root / ".." / "b", root)
    assert not files.inside(root / "link" / "b", root)
