"""Fetching an archive: every wait has a limit, what arrives is verified, and a failure is one clear error."""

from __future__ import annotations

import functools
import hashlib
import http.client
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

from gan_bench.data.dataset import Notify
from gan_bench.data.files import written_atomically
from gan_bench.errors import InputError

SOCKET_SECONDS = 10.0
CHUNK = 1 << 18
Failure = (OSError, http.client.HTTPException, ValueError)


@functools.lru_cache(maxsize=64)
def _md5(path: Path, size: int, modified_ns: int) -> str:
    del size, modified_ns  # only there so that a changed file is read again
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def file_md5(path: Path) -> str | None:
    """Return the MD5 of a file in hex, or None where there is no readable one."""
    try:
        stat = path.stat()
        return _md5(path, stat.st_size, stat.st_mtime_ns)
    except OSError:
        return None


def fetch(urls: Sequence[str], path: Path, checksum: str, *, deadline: float, advice: str, notify: Notify) -> None:
    """Write the first of `urls` that answers with the right content to `path`, atomically.

    `checksum` is md5:HEX or sha256:HEX, of which the first digits will do; `deadline` is a time.monotonic() in
    seconds. Raises InputError, ending in `advice`, when the folder can't
    be written to or no address gave the file in time.
    """
    _require_writable(path, advice)
    algorithm, _, expected = checksum.partition(":")
    reasons: list[str] = []
    for url in urls:
        notify(f"downloading {url} to {path}")
        try:
            digest = hashlib.new(algorithm, usedforsecurity=False)
            with written_atomically(path) as file:
                for piece in _pieces(url, deadline):
                    digest.update(piece)
                    file.write(piece)
                if not digest.hexdigest().startswith(expected):
                    raise ValueError(f"what came is not the file (its {algorithm} is wrong)")
            return
        except Failure as error:
            reasons.append(f"{url}: {error or type(error).__name__}")
    raise InputError(
        f"{path.name} is not at {path.parent} and can't be downloaded ({'; '.join(reasons)}): {advice}"
    )


def _pieces(url: str, deadline: float) -> Iterator[bytes]:
    request = urllib.request.Request(url, headers={"User-Agent": "gan-bench"})
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("the time limit is over")
    with urllib.request.urlopen(request, timeout=min(SOCKET_SECONDS, left)) as answer:
        while piece := answer.read1(CHUNK):  # read1: what has arrived, so that the clock is looked at often
            if time.monotonic() > deadline:
                raise TimeoutError("the time limit is over")
            yield piece


def _require_writable(path: Path, advice: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise InputError(
            f"{path.name} must be downloaded, but {path.parent} can't be written to ({error}): {advice}"
        ) from None
