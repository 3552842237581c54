"""Counting of every call by which this process changes files; a chosen one can be refused, or kill the process."""

from __future__ import annotations

import builtins
import io
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("fsync", "replace", "rename", "link", "symlink", "unlink", "remove", "mkdir", "rmdir", "truncate")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Calls:
    """The calls so far, and files in `root` that were opened for writing without being counted."""

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
        """Note a file that the interpreter opens for writing in another way."""
        if event != "open" or self.inside or isinstance(arguments[0], int):
            return
        path, _, flags = arguments
        if flags & WRITING and os.path.realpath(path).startswith(self.root):
            self.past.append(str(path))


class _File:
    """A file that writes in two halves, with the tick between them."""

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
    """Count every call in the block; call `happen` before call number `at`, in the middle of a write.

    With `lasting`, it is called before every later one, too.
    """
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
    io.open = builtins.open = opened  # type: ignore[assignment]
    try:
        yield calls
    finally:
        io.open = builtins.open = kept.pop("open")
        for name, function in kept.items():
            setattr(os, name, function)
        audits.remove(calls)


audits: list[Calls] = []


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    for calls in audits:
        calls.audit(event, arguments)


sys.addaudithook(_audit)


def is_killed(work: Callable[[], None], root: Path, at: int) -> bool:
    """Do `work` in a forked process that is killed before call number `at`; return False if it finished before."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            with counted(root, at, lambda name: os.kill(os.getpid(), signal.SIGKILL)):
                work()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or os.waitstatus_to_exitcode(status) == 0, f"call {at}: exit status {status}"
    return os.WIFSIGNALED(status)
