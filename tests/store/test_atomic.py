from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from gan_bench.errors import RunError
from gan_bench.store import atomic


def test_the_new_file_is_whole_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    atomic.write_text(path, "old")
    atomic.write_text(path, "näu")
    assert path.read_bytes() == "näu".encode()
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize("call", ["write", "fsync", "replace"])
def test_a_refusing_disk_is_an_error_that_keeps_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    path = tmp_path / "a.json"
    atomic.write_text(path, "old")

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if call == "write":
        monkeypatch.setattr(Path, "open", refuse)
    else:
        monkeypatch.setattr(os, call, refuse)
        monkeypatch.setattr(Path, "replace", refuse if call == "replace" else Path.replace)
    with pytest.raises(RunError, match="no space left on device; free some space"):
        atomic.write_text(path, "new")
    monkeypatch.undo()
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_an_interrupt_while_writing_leaves_nothing_beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        atomic.write_text(tmp_path / "a.json", "new")
    assert [p.name for p in tmp_path.iterdir()] == []


def test_the_file_is_flushed_to_the_disk_before_its_name_is_and_the_folder_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    fsync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (calls.append("fsync"), fsync(fd)))
    monkeypatch.setattr(Path, "replace", lambda self, to: (calls.append("replace"), replace(self, to)))
    atomic.write_text(tmp_path / "a", "x")
    assert calls == ["fsync", "replace", "fsync"]


def test_json_has_no_word_for_nan(tmp_path: Path) -> None:
    atomic.write_json(tmp_path / "a", {"a": [float("nan"), 1.0], "b": (float("inf"), "text")})

    def forbidden(word: str) -> float:
        raise AssertionError(word)

    values = json.loads((tmp_path / "a").read_text(), parse_constant=forbidden)
    assert values == {"a": [None, 1.0], "b": [None, "text"]}


def test_what_lies_beside_is_found_with_its_mark_and_no_link_is_followed(tmp_path: Path) -> None:
    outside, folder = tmp_path / "outside", tmp_path / "folder"
    for place in (outside, folder / "samples"):
        place.mkdir(parents=True)
        (place / ".a.png.1.0123abcd.tmp").write_text("x")
    (folder / "link").symlink_to(outside)
    (folder / "spec.json").write_text("x")
    (folder / ".old.json.123.tmp").write_text("x")
    with atomic.private(folder / "b.json", mark=12) as new:
        new.write_text("x")
        found = dict(atomic.left_beside(folder))
    assert found == {
        folder / "samples" / ".a.png.1.0123abcd.tmp": 1,
        folder / ".old.json.123.tmp": 0,
        new: 12,
    }
    assert not new.exists()


def test_a_folder_that_can_not_be_read_is_not_taken_for_an_empty_one(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="none"):
        list(atomic.left_beside(tmp_path / "none"))


def test_of_two_that_create_a_file_one_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert atomic.create_bytes(tmp_path / "a", b"first")
    assert not atomic.create_bytes(tmp_path / "a", b"second")
    monkeypatch.setattr(os, "link", no_links)
    assert not atomic.create_bytes(tmp_path / "a", b"third")
    assert atomic.create_bytes(tmp_path / "b", b"no links here")
    contents = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert contents == {"a": b"first", "b": b"no links here"}


@pytest.mark.parametrize("links", [True, False])
def test_whoever_was_cleared_away_before_his_file_had_its_name_is_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    link = os.link

    def cleared(new: Path, path: Path) -> None:
        path.write_bytes(b"first")
        new.unlink()
        (link if links else no_links)(new, path)

    monkeypatch.setattr(os, "link", cleared)
    assert not atomic.create_bytes(tmp_path / "a", b"second")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"first"}


def no_links(*_: object, **__: object) -> None:
    raise OSError(errno.EPERM, os.strerror(errno.EPERM))
