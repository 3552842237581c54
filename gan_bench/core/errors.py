"""Errors that users see; each carries its exit code."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

MAX_SHOWN = 200
"""Characters of a value that a message shows."""


class GanBenchError(Exception):
    """Base of the errors whose message is shown to the user as one line."""

    exit_code = 1


class InputError(GanBenchError):
    """Invalid user input. The message names what was asked, what is wrong and what to type instead.

    Raised before anything is started or written.
    """

    exit_code = 2


class RunError(GanBenchError):
    """A failure outside the user's input once work has begun, such as a full disk."""


class ReadError(RunError):
    """A file that is not read: missing, not a regular file, a link, too large, damaged, or out of bounds."""

    def __init__(self, message: str, *, missing: bool = False) -> None:
        super().__init__(message)
        self.missing = missing


class RunTakenError(RunError):
    """The run is leased by another process, which keeps it."""


def printable(text: str) -> str:
    r"""Return text with control, format and surrogate characters as escapes such as \x1b; newlines stay."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char == "\n" else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    return " " if char == "\t" else char.encode("unicode_escape").decode("ascii")


def short_repr(value: object) -> str:
    """Return a value for a message; cut off where it is long, and without the digits of a huge number."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):
        return f"<{type(value).__name__} too large to show>"
    return text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + "\u2026"


def first_line(error: BaseException) -> str:
    """Return the first line of an exception's message, or its type where the message is empty."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def unknown(kind: str, name: str, known: Iterable[str]) -> InputError:
    """Return the error for an unregistered name, with the closest registered names."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(known) or 'none'}."
    return InputError(f"unknown {kind} {name!r}: {hint}")
