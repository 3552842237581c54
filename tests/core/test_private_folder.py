"""Private folders: owners and modes of every level, links, and folders made under any umask."""

from __future__ import annotations

import os
import pwd
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from gan_bench.core import private_folder
from gan_bench.core.private_folder import distrust, make_folders, make_private

pytestmark = pytest.mark.skipif(os.name != "posix", reason="POSIX permissions")


@pytest.fixture
def open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_make_private_removes_access_for_others(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir(mode=0o755)
    for name in ("shared", "new"):
        assert mode(make_private(tmp_path / name)) == 0o700


@pytest.mark.usefixtures("open_umask")
def test_every_created_level_is_closed_to_others_whatever_the_umask(tmp_path: Path) -> None:
    make_private(tmp_path / "a" / "b" / "c")
    assert [mode(tmp_path / name) for name in ("a", "a/b", "a/b/c")] == [0o700] * 3
    make_folders(tmp_path / "d" / "e")
    assert [mode(tmp_path / name) for name in ("d", "d/e")] == [0o755] * 2
    assert distrust(tmp_path / "a" / "b" / "c") == ""


def test_make_private_does_not_change_the_mode_of_a_links_target(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir(mode=0o755)
    (tmp_path / "link").symlink_to(target)
    with pytest.raises(OSError, match="link"):
        make_private(tmp_path / "link")
    assert mode(target) == 0o755


@pytest.mark.parametrize("level", ["cache", "cache/gan_bench", "cache/gan_bench/metrics"])
@pytest.mark.parametrize("bits", [0o777, 0o1777])
def test_a_level_that_others_can_write_to_is_not_trusted(tmp_path: Path, level: str, bits: int) -> None:
    folder = make_private(tmp_path / "cache" / "gan_bench" / "metrics")
    (tmp_path / level).chmod(bits)
    reason = distrust(folder, folder.parent)
    if bits == 0o1777 and level == "cache":
        assert reason == "", "only owners can rename in a sticky folder such as /tmp"
    else:
        assert reason == f"others can write to {tmp_path / level}; type chmod go-w {tmp_path / level}"


def test_a_group_is_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    grp = pytest.importorskip("grp")
    folder = make_private(tmp_path / "cache")
    folder.chmod(0o770)
    group = grp.getgrgid(folder.stat().st_gid)
    members = grp.struct_group((group.gr_name, "", group.gr_gid, ["someone"]))
    monkeypatch.setattr(grp, "getgrgid", lambda gid: members)
    assert "others can write" in distrust(folder)


def owned_by_another(monkeypatch: pytest.MonkeyPatch, which: Callable[[str], bool]) -> None:
    lstat = os.lstat

    def other(path: str | Path) -> os.stat_result:
        status = lstat(path)
        return os.stat_result([*status[:4], 4242, *status[5:]]) if which(str(path)) else status

    monkeypatch.setattr(os, "lstat", other)


@pytest.mark.parametrize("level", ["cache", "cache/gan_bench", "cache/gan_bench/metrics"])
def test_a_level_of_another_user_is_not_trusted(
    tmp_path: Path, level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_private(tmp_path / "cache" / "gan_bench" / "metrics")
    owned_by_another(monkeypatch, lambda path: path == str(tmp_path / level))
    assert distrust(folder) == f"{tmp_path / level} belongs to another user"


def test_links_are_refused_within_the_cache_and_followed_above_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_private(tmp_path / "scratch" / "gan_bench" / "metrics")
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / ".cache").symlink_to("../scratch")
    folder = tmp_path / "home" / ".cache" / "gan_bench" / "metrics"
    assert distrust(folder, folder.parent) == ""
    assert "is a link" in distrust(folder, tmp_path / "home" / ".cache")
    with monkeypatch.context() as patch:
        owned_by_another(patch, lambda path: path.endswith("home/.cache"))
        assert "belongs to another user" in distrust(folder, folder.parent)
    (tmp_path / "scratch").chmod(0o777)
    assert "scratch" in distrust(folder, folder.parent), "where the link leads is looked at too"
    (tmp_path / "linked").symlink_to(tmp_path / "scratch" / "gan_bench")
    (tmp_path / "scratch").chmod(0o700)
    assert distrust(tmp_path / "linked") == f"{tmp_path / 'linked'} is a link; replace it by a folder"
    (tmp_path / "loop").symlink_to("loop")
    assert "links" in distrust(tmp_path / "loop" / "x")


def test_a_missing_folder_is_trusted_where_what_is_above_it_is(tmp_path: Path) -> None:
    assert distrust(tmp_path / "a" / "b") == ""
    (tmp_path / "file").touch()
    assert "is not a folder" in distrust(tmp_path / "file")


@pytest.fixture
def without_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A user without a home folder: no HOME, and no entry in the user database."""

    def unknown(user: object) -> NoReturn:
        raise KeyError(user)

    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    private_folder.private_temporary.cache_clear()
    yield tmp_path
    private_folder.private_temporary.cache_clear()


def test_without_a_home_folder_the_cache_is_a_private_temporary_folder(without_home: Path) -> None:
    cache = private_folder.user_cache()
    assert cache == without_home / f"gan_bench-{os.getuid()}"
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700
    private_folder.provide_home()
    assert os.environ["HOME"] == str(cache)


def test_a_home_folder_is_left_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    private_folder.provide_home()
    assert os.environ["HOME"] == str(tmp_path)
