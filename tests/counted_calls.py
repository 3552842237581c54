"""Every call by which this process changes files, counted; at a chosen one something happens, such as a kill."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("fsync", "replace", "rename", "link", "symlink", "unlink", "remove", "mkdir", "rmdir", "truncate")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Calls:
    """The calls so far; and files in `root` that were opened for writing past the count."""

    def __init__(self, root: Path, at: int, happen: Callable[[str], None], lasting: bool) -> None:
        self.root, self.at, self.happen, self.lasting = os.path.realpath(root), at, happen, lasting
        self.made: list[str] = []
        self.past: list[str] = []
        self.inside = False

    def tick(self, name: str) -> None:
        self.made.append(name)
        if len(self.made) == self.at or (self.lasting and len(self.made) > self.at):
            self.happen(name)

    def audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Hear of every file that the interpreter opens."""
        if event != "open" or self.inside or isinstance(arguments[0], int):
            return
        path, _, flags = arguments
        if flags & WRITING and os.path.realpath(path).startswith(self.root):
            self.past.append(str(path))


class _File:
    """A file whose writes are cut in two: what happens, happens in the middle."""

    def __init__(self, file: Any, calls: Calls) -> None:
        self._file, self._calls = file, calls

    def write(self, data: Any) -> int:
        half = len(data) // 2
        self._file.write(data[:half])
        self._file.flush()
        self._calls.tick("write")
        self._file.write(data[half:])
        return len(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> _File:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


@contextmanager
def counted(
    root: Path, at: int = 0, happen: Callable[[str], None] = lambda name: None, lasting: bool = False
) -> Iterator[Calls]:
    """Count every call inside; before call number `at` (of a write: in its middle), or from it on, do `happen`."""
    calls = Calls(root, at, happen, lasting)
    kept = {name: getattr(os, name) for name in NAMES} | {"open": io.open}
    audits.append(calls)

    def wrapped(name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            calls.tick(name)
            return kept[name](*arguments, **options)

        return call

    def opened(file: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        if not set(mode) & set("wxa+"):
            return kept["open"](file, mode, *arguments, **options)
        calls.tick("open")
        calls.inside = True
        try:
            return _File(kept["open"](file, mode, *arguments, **options), calls)
        finally:
            calls.inside = False

    for name in NAMES:
        setattr(os, name, wrapped(name))
    io.open = opened  # type: ignore[assignment]
    try:
        yield calls
    finally:
        io.open = kept.pop("open")
        for name, function in kept.items():
            setattr(os, name, function)
        audits.remove(calls)


audits: list[Calls] = []


def _heard(event: str, arguments: tuple[Any, ...]) -> None:
    for calls in audits:
        calls.audit(event, arguments)


sys.addaudithook(_heard)
