"""Trusted folders: every level belongs to this user or to root, and no one else can write to it.

A cache holds weights and numbers that scores depend on. Others could plant them in a folder they can write to.
"""

from __future__ import annotations

import functools
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import platformdirs

MAX_LINKS = 40
OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def distrust(folder: Path, root: Path | None = None) -> str:
    """Return why the contents of a folder are not to be trusted, with a fix; empty where they are.

    Every level that exists is looked at, from the file system's root down. Above `root` (by default: the folder
    itself) a link is followed if it belongs to this user or to root; from there on a link is refused. A folder
    such as /tmp, in which only owners can rename, may be above. Always empty where there are no POSIX owners.
    """
    if not hasattr(os, "geteuid"):
        return ""
    folder, root = folder.absolute(), (root or folder).absolute()
    try:
        for path, status, is_own in _levels(folder, len(root.parts)):
            reason = _fault(path, status, is_own)
            if reason:
                return reason
    except OSError as error:
        return f"{folder} can't be looked at ({(error.strerror or str(error)).lower()})"
    return ""


def user_cache() -> Path:
    """Return the folder of this user's cache; one in the temporary folder for a user without a home folder."""
    try:
        return platformdirs.user_cache_path("gan_bench").absolute()
    except RuntimeError:
        return private_temporary()


@functools.cache
def private_temporary() -> Path:
    """Return a folder that processes of this user share, or one of this process alone if that is not trusted."""
    user = os.getuid() if hasattr(os, "getuid") else "cache"
    shared = Path(tempfile.gettempdir()) / f"gan_bench-{user}"
    try:
        if not distrust(shared) and not distrust(make_private(shared)):
            return shared
    except OSError:
        pass
    return Path(tempfile.mkdtemp(prefix="gan_bench-"))


def provide_home() -> None:
    """Set HOME for a user without a home folder: some libraries can't be imported without one."""
    try:
        Path.home()
    except RuntimeError:
        os.environ["HOME"] = str(private_temporary())


def make_private(folder: Path) -> Path:
    """Return the folder, created if necessary, with access for its owner only (mode 0700), whatever the umask.

    Every missing level is created so. A link is not followed, and its target's mode is not changed: OSError.
    """
    make_folders(folder, 0o700)
    if not hasattr(os, "fchmod"):
        return folder
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        if os.fstat(descriptor).st_mode & 0o077:
            os.fchmod(descriptor, 0o700)
    finally:
        os.close(descriptor)
    return folder


def make_folders(folder: Path, mode: int = 0o755) -> None:
    """Create a folder and the missing levels above it with at most `mode`, whatever the umask; raises OSError."""
    for path in reversed([folder, *folder.parents]):
        if not path.is_dir():
            try:
                path.mkdir(mode)
            except FileExistsError:
                if not path.is_dir():
                    raise


def _levels(folder: Path, own_from: int) -> Iterator[tuple[Path, os.stat_result, bool]]:
    """Yield each existing level on the way to a folder, links with what they lead to; stops at a missing one.

    The third value is whether it is the folder's part number `own_from` or a later one.
    """
    parts = [(part, number >= own_from) for number, part in enumerate(folder.parts[1:], start=2)]
    here, links = Path(folder.anchor), 0
    yield here, os.lstat(here), False
    while parts:
        part, is_own = parts.pop(0)
        if part == "..":
            here = here.parent
            continue
        here = here / part
        try:
            status = os.lstat(here)
        except FileNotFoundError:
            return
        yield here, status, is_own
        if stat.S_ISLNK(status.st_mode):
            links += 1
            if links > MAX_LINKS:
                raise OSError(f"more than {MAX_LINKS} links")
            target = here.readlink()
            steps = target.parts[1:] if target.is_absolute() else target.parts
            parts = [*((step, is_own) for step in steps), *parts]
            here = Path(target.anchor) if target.is_absolute() else here.parent


def _fault(path: Path, status: os.stat_result, is_own: bool) -> str:
    if status.st_uid not in (os.geteuid(), 0):
        return f"{path} belongs to another user"
    if stat.S_ISLNK(status.st_mode):
        return f"{path} is a link; replace it by a folder" if is_own else ""
    if not stat.S_ISDIR(status.st_mode):
        return f"{path} is not a folder"
    sticky = bool(status.st_mode & stat.S_ISVTX) and not is_own
    if not status.st_mode & OTHERS_WRITE or sticky or _only_mine(status):
        return ""
    return f"others can write to {path}; type chmod go-w {path}"


def _only_mine(status: os.stat_result) -> bool:
    """Return whether a folder is writable for the user's own group, in which no one else is."""
    if status.st_mode & stat.S_IWOTH:
        return False
    try:
        import grp
        import pwd

        me = pwd.getpwuid(os.geteuid())
        group = grp.getgrgid(status.st_gid)
    except (ImportError, KeyError):
        return False
    return group.gr_name == me.pw_name and set(group.gr_mem) <= {me.pw_name}
