"""What a user is told when what they asked for can't be done."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(Exception):
    """The user's input is wrong: the message says what was asked, what is wrong and what to type instead.

    The command line turns it into one clear line and exit code 2; nothing has been started or written.
    """


class RunError(Exception):
    """Something outside the user's input went wrong once work had begun (a full disk, say); exit code 1."""


class RunTakenError(RunError):
    """Another process trains this run, or has taken it over from this one: it is left to that one."""


def printable(text: str) -> str:
    """Return text without what a terminal would obey instead of showing: it may come out of anybody's folder."""
    return "".join(sign if sign.isprintable() or sign == "\n" else " " for sign in text)


def unknown(kind: str, name: str, known: Iterable[str]) -> InputError:
    """Return the error for a name that nothing carries, with the nearest known names."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(known) or 'none'}."
    return InputError(f"unknown {kind} {name!r}: {hint}")
