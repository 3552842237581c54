"""Whole numbers on the command line: one clear line where something else was typed."""

from __future__ import annotations

import re
from typing import Any

import click

from gan_bench.errors import InputError


class Whole(click.ParamType):  # type: ignore[type-arg, unused-ignore]  # generic in newer click only
    """A whole number from `least` to `most`."""

    name = "n"

    def __init__(self, least: int, most: int) -> None:
        self.least, self.most = least, most

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number that was typed; raise InputError if it is none, or out of range."""
        text = str(value)
        if re.fullmatch(r"[+-]?[0-9]{1,18}", text) and self.least <= int(text) <= self.most:
            return int(text)
        asked = max(param.opts, key=len) if param else "value"
        raise InputError(f"{asked} {text!r}: type a whole number from {self.least:,} to {self.most:,}")
