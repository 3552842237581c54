"""The results folder itself: whether it may be used, its mark, and which run a part of a name means."""

from __future__ import annotations

import difflib
import errno
import json
from collections.abc import Sequence
from pathlib import Path

from gan_bench.errors import InputError, RunError
from gan_bench.record import SCHEMA_VERSION
from gan_bench.store.atomic import refused, write_json

MARK = "store.json"
RUNS = "runs"
OF_THE_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EMFILE, errno.ENFILE, errno.EIO}
"""Refusals that have nothing to do with the folder that was named."""


def has_results(root: Path) -> bool:
    """Return whether there is something of ours in the folder; one that is empty or not there has nothing."""
    return (root / RUNS).is_dir() or (root / MARK).is_file()


def check(root: Path, *, create: bool) -> None:
    """Raise InputError unless `root` can serve as a results folder; with `create`, make and mark it."""
    if root.exists() and not root.is_dir():
        raise InputError(f"results folder {root}: this is a file; name a folder")
    if not create and not has_results(root):
        raise InputError(f"results folder {root}: no results there; make some with gan-bench run --out {root}")
    _check_mark(root)
    if not (root / RUNS).resolve().is_relative_to(root.resolve()):
        raise InputError(f"results folder {root}: {RUNS} is a link that leads out of it; remove the link")
    if create:
        _make(root)


def match(root: Path, ids: Sequence[str], text: str) -> str:
    """Return the one run id that `text` is, or begins, or whose hash it begins; raise InputError if not one."""
    hits = [text] if text in ids else [run_id for run_id in ids if text and _begins(run_id, text)]
    if not hits:
        near = difflib.get_close_matches(text, ids, n=3, cutoff=0.4)
        hint = f"did you mean {' or '.join(near)}?" if near else f"gan-bench status {root} lists them"
        raise InputError(f"run {text!r} is not in {root}: {hint}")
    if len(hits) > 1:
        some = ", ".join(hits[:3]) + (", ..." if len(hits) > 3 else "")
        raise InputError(f"run {text!r} could be any of {len(hits)}: {some}; type more of its name")
    return hits[0]


def _check_mark(root: Path) -> None:
    if not (root / MARK).exists():
        return
    try:
        version = int(json.loads((root / MARK).read_bytes())["schema_version"])
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        raise InputError(
            f"results folder {root}: {MARK} can't be read; choose another folder with --out"
        ) from None
    if version > SCHEMA_VERSION:
        raise InputError(
            f"results folder {root}: written by a newer gan_bench (schema {version}); update gan_bench"
        )


def _make(root: Path) -> None:
    """Make the folder and try a write now, so that a folder that refuses is known before anything is trained.

    Raises InputError for a folder that could never be written to, and RunError where the disk refuses: it is full,
    say, or has become read-only under results.
    """
    begun = has_results(root)
    try:
        (root / RUNS).mkdir(parents=True, exist_ok=True)
        write_json(root / MARK, {"schema_version": SCHEMA_VERSION})
    except (OSError, RunError) as error:
        cause = error if isinstance(error, OSError) else error.__cause__
        assert isinstance(cause, OSError)
        if begun or cause.errno in OF_THE_DISK:
            raise refused(root, cause) from error
        why = (cause.strerror or str(cause)).lower()
        raise InputError(f"results folder {root}: can't be written to ({why}); choose one with --out") from error


def _begins(run_id: str, text: str) -> bool:
    return run_id.startswith(text) or run_id.rpartition("-")[2].startswith(text)
