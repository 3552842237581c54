"""The one way to a terminal: all text passes `printable`, since names, labels and reasons may come from others."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import click
from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderHook, RenderResult
from rich.segment import Segment

from gan_bench.core.errors import printable
from gan_bench.core.events import Event, Notice
from gan_bench.core.frozen import finite_or_null

MIN_WIDTH = 170
"""Columns of the output where there is no terminal."""
MAX_MESSAGE = 4000
"""Characters of an error line; a mistyped list may have a hundred thousand."""


class Escaped:
    """A rich renderable whose text is printable; rich's own colors and cursor movements stay."""

    def __init__(self, renderable: ConsoleRenderable) -> None:
        self.renderable = renderable

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the segments of the renderable."""
        for segment in console.render(self.renderable, options):
            yield segment if segment.control else Segment(printable(segment.text), segment.style)


class _EscapeAll(RenderHook):
    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        return [Escaped(each) for each in renderables]


def console(*, stderr: bool = False) -> Console:
    """Return a console on stdout or stderr; without a terminal it is wide enough for every table."""
    plain = Console(stderr=stderr, highlight=False, emoji=False)
    if not plain.is_terminal:
        plain = Console(stderr=stderr, highlight=False, emoji=False, width=max(MIN_WIDTH, plain.width))
    plain.push_render_hook(_EscapeAll())
    return plain


def echo(text: str = "", *, err: bool = False) -> None:
    """Print text to stdout or stderr."""
    click.echo(printable(text), err=err)


def print_json(values: Mapping[str, Any]) -> None:
    """Print one JSON object on a line, in ASCII; numbers that are not finite become null."""
    click.echo(json.dumps(finite_or_null(values), allow_nan=False, default=str))


def one_line(text: str) -> str:
    """Return text as one line without control characters."""
    return printable(" ".join(text.split()))


def print_error_line(text: str) -> None:
    """Print to stderr."""
    echo(text if len(text) <= MAX_MESSAGE else f"{text[:MAX_MESSAGE]}…", err=True)


def print_notice(event: Event) -> None:
    """Print a notice to stderr; a listener that ignores other events."""
    if isinstance(event, Notice):
        print_error_line(event.text)
