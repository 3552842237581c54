"""Download of archives: time-limited, verified by checksum, written atomically."""

from __future__ import annotations

import functools
import hashlib
import http.client
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

from gan_bench.core.errors import InputError, ReadError
from gan_bench.core.events import Notice, OnEvent
from gan_bench.core.files import atomic_file
from gan_bench.core.limits import MAX_ARCHIVE_BYTES
from gan_bench.core.private_folder import make_folders
from gan_bench.core.reading import file_hash

SOCKET_SECONDS = 10.0
CHUNK = 1 << 18
DOWNLOAD_ERRORS = (OSError, http.client.HTTPException, ValueError)


@functools.lru_cache(maxsize=64)
def _hash(path: Path, algorithm: str, size: int, modified_ns: int) -> str:
    del size, modified_ns  # part of the cache key: a changed file is read again
    return file_hash(path, max_bytes=MAX_ARCHIVE_BYTES, algorithm=algorithm)


def known_hash(path: Path, algorithm: str) -> str | None:
    """Return the hash of a file in hex, or None if it does not exist or is not readable; read once per content."""
    try:
        stat = path.stat()
        return _hash(path, algorithm, stat.st_size, stat.st_mtime_ns)
    except (OSError, ReadError):
        return None


def file_md5(path: Path) -> str | None:
    """Return the MD5 of a file in hex, or None if it does not exist or is not readable."""
    return known_hash(path, "md5")


def fetch(
    urls: Sequence[str], path: Path, checksum: str, *, deadline: float, hint: str, on_event: OnEvent
) -> None:
    """Download `path` from the first URL that serves the right content; atomic.

    `checksum` is md5:HEX or sha256:HEX, of which a prefix suffices; `deadline` is a time.monotonic() in seconds.
    Raises InputError, ending in `hint`, if the folder is not writable or every URL failed before the deadline.
    """
    _require_writable(path, hint)
    algorithm, _, expected = checksum.partition(":")
    reasons: list[str] = []
    for url in urls:
        on_event(Notice(f"Downloading {url} to {path}."))
        try:
            digest = hashlib.new(algorithm, usedforsecurity=False)
            with atomic_file(path) as file:
                for chunk in _chunks(url, deadline):
                    digest.update(chunk)
                    file.write(chunk)
                if not digest.hexdigest().startswith(expected):
                    raise ValueError(f"wrong content ({algorithm} mismatch)")
            return
        except DOWNLOAD_ERRORS as error:
            reasons.append(f"{url}: {error or type(error).__name__}")
    raise InputError(f"{path.name} is missing in {path.parent} and download failed ({'; '.join(reasons)}): {hint}")


def _chunks(url: str, deadline: float) -> Iterator[bytes]:
    request = urllib.request.Request(url, headers={"User-Agent": "gan-bench"})
    remaining = deadline - time.monotonic()
    if remaining <= 0:
        raise TimeoutError("time limit exceeded")
    with urllib.request.urlopen(request, timeout=min(SOCKET_SECONDS, remaining)) as response:
        while chunk := response.read1(CHUNK):  # read1 returns what has arrived, so the deadline is checked often
            if time.monotonic() > deadline:
                raise TimeoutError("time limit exceeded")
            yield chunk


def _require_writable(path: Path, hint: str) -> None:
    try:
        make_folders(path.parent)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise InputError(
            f"{path.name} must be downloaded, but {path.parent} is not writable ({error}): {hint}"
        ) from None
