"""Escaping of what the page and its Markdown version show: text of runs stays text."""

from __future__ import annotations

from jinja2.runtime import Macro
from markupsafe import Markup

from gan_bench.core.errors import printable


class Verbatim(str):
    """Markdown source built from validated names, which is not escaped."""

    __slots__ = ()


def escape_page(value: object) -> object:
    """Return a template value without control and bidirectional characters; jinja2 escapes the markup in it."""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return printable(value)


def escape_markdown(value: object) -> object:
    """Return a template value with every character escaped that Markdown, or HTML in it, would interpret."""
    if isinstance(value, (Verbatim, Macro)) or not isinstance(value, str):
        return value
    text = printable(" ".join(value.split()))
    for old, new in (("\\", "\\\\"), ("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        text = text.replace(old, new)
    for sign in "|[]`*":
        text = text.replace(sign, f"\\{sign}")
    return text
