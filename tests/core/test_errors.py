"""Errors: exit codes, the first line of any exception, suggestions for unknown names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gan_bench.core.errors import (
    GanBenchError,
    InputError,
    RunError,
    RunTakenError,
    first_line,
    printable,
    unknown,
)


@pytest.mark.parametrize(
    ("kind", "code"), [(InputError, 2), (RunError, 1), (RunTakenError, 1), (GanBenchError, 1)]
)
def test_an_error_carries_its_exit_code(kind: type[GanBenchError], code: int) -> None:
    assert kind("text").exit_code == code


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("one\ntwo"), "one"),
        (ValueError("\n  one  \ntwo"), "one  "),
        (ValueError("one\r\ntwo"), "one"),
        (ValueError("  "), "ValueError"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (OSError(28, "No space left on device"), "[Errno 28] No space left on device"),
    ],
)
def test_first_line_is_the_message_or_the_type(error: BaseException, line: str) -> None:
    assert first_line(error) == line


@given(st.text())
def test_first_line_is_one_line_of_any_message(text: str) -> None:
    assert len(first_line(ValueError(text)).splitlines()) == 1


@given(st.text())
def test_printable_keeps_text_and_newlines_only(text: str) -> None:
    shown = printable(text)
    assert len(shown) >= len(text)
    assert all(char.isprintable() or char == "\n" for char in shown)


def test_control_and_format_characters_become_escapes() -> None:
    assert printable("a\x1b[31mb\u202ec\nd é\udcff") == "a\\x1b[31mb\\u202ec\nd é\\udcff"


def test_an_unknown_name_gets_the_closest_names_or_all() -> None:
    known = ["fid", "kid", "modes"]
    assert str(unknown("metric", "fdi", known)) == "unknown metric 'fdi': did you mean fid?"
    assert str(unknown("metric", "xyzzy", known)) == "unknown metric 'xyzzy': known: fid, kid, modes."
    assert str(unknown("metric", "fid", [])) == "unknown metric 'fid': known: none."
    assert unknown("metric", "fdi", known).exit_code == 2
