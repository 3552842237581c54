"""The results folder: validation, its schema mark, and lookup of runs by abbreviated ids."""

from __future__ import annotations

import difflib
import errno
from collections.abc import Sequence
from pathlib import Path

from gan_bench.core.decoding import read_json
from gan_bench.core.errors import InputError, ReadError, RunError
from gan_bench.core.files import inside, json_bytes, write_bytes, write_error
from gan_bench.core.limits import MAX_MARK_BYTES
from gan_bench.core.reading import exists
from gan_bench.core.records import SCHEMA_VERSION
from gan_bench.store.run_folder import other_schema

MARK = "store.json"
RUNS = "runs"
DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EMFILE, errno.ENFILE, errno.EIO}
"""Errors that another folder on the same disk would give as well."""


def has_results(root: Path) -> bool:
    """Return whether the folder contains results; an empty or missing one does not."""
    return (root / RUNS).is_dir() or (root / MARK).is_file()


def check(root: Path, *, create: bool) -> None:
    """Raise InputError unless `root` can be used as a results folder; with `create`, create and mark it."""
    if root.exists() and not root.is_dir():
        raise InputError(f"results folder {root}: it is a file; name a folder")
    if not create and not has_results(root):
        raise InputError(f"results folder {root}: it has no results; gan-bench run --out {root} creates some")
    _check_mark(root)
    if not inside(root / RUNS, root):
        raise InputError(f"results folder {root}: {RUNS} is a link that leads out of it; remove the link")
    if create:
        _make(root)


def match(root: Path, ids: Sequence[str], text: str) -> str:
    """Return the one run id that equals or starts with `text`, or whose hash does; raise InputError otherwise."""
    hits = [text] if text in ids else [run_id for run_id in ids if text and _starts_with(run_id, text)]
    if not hits:
        near = difflib.get_close_matches(text, ids, n=3, cutoff=0.4)
        hint = f"did you mean {' or '.join(near)}?" if near else f"gan-bench status {root} lists them"
        raise InputError(f"run {text!r} is not in {root}: {hint}")
    if len(hits) > 1:
        some = ", ".join(hits[:3]) + (", ..." if len(hits) > 3 else "")
        raise InputError(f"run {text!r} matches {len(hits)} runs: {some}; type more of its id")
    return hits[0]


def _check_mark(root: Path) -> None:
    if not exists(root / MARK):
        return
    try:
        version = int(read_json(root / MARK, max_bytes=MAX_MARK_BYTES, root=root)["schema_version"])
    except (ReadError, ValueError, TypeError, KeyError, IndexError):
        raise InputError(
            f"results folder {root}: {MARK} can't be read; choose another folder with --out"
        ) from None
    if version != SCHEMA_VERSION:
        raise InputError(f"results folder {root}: {other_schema(version)}")


def _make(root: Path) -> None:
    """Create the folder and write to it, so that an unwritable folder is found before anything is trained.

    Raises InputError for a folder that is not writable, and RunError for a disk error: a full disk, or a folder
    with results that has become read-only.
    """
    exists = has_results(root)
    try:
        (root / RUNS).mkdir(parents=True, exist_ok=True)
        write_bytes(root / MARK, json_bytes({"schema_version": SCHEMA_VERSION}))
    except (OSError, RunError) as error:
        cause = error if isinstance(error, OSError) else error.__cause__
        assert isinstance(cause, OSError)
        if exists or cause.errno in DISK_ERRORS:
            raise write_error(root, cause) from error
        why = (cause.strerror or str(cause)).lower()
        raise InputError(f"results folder {root}: not writable ({why}); choose another with --out") from error


def _starts_with(run_id: str, text: str) -> bool:
    return run_id.startswith(text) or run_id.rpartition("-")[2].startswith(text)
