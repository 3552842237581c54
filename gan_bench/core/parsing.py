"""Parsing of typed text: lists, ranges, rates, times, paths and settings. No torch."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gan_bench.core.errors import InputError
from gan_bench.core.limits import MAX_RUNS

if TYPE_CHECKING:
    from gan_bench.core.frozen import Scalar
    from gan_bench.core.option_fields import Rates

MAX_SEEDS = MAX_RUNS


def parse_names(text: str, asked: str) -> tuple[str, ...]:
    """Parse a comma list of names; raise InputError when it, or one of its items, is empty."""
    items = tuple(item.strip() for item in text.split(","))
    if not all(items):
        raise InputError(f"{asked} {text!r}: an empty name; type a comma list such as a,b")
    return items


def parse_seeds(text: str, asked: str = "--seeds") -> tuple[int, ...]:
    """Parse a comma list of whole numbers and inclusive ranges such as `0-2,7`; at most 10,000 seeds."""
    seeds: dict[int, None] = {}
    for item in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,10})(?:-(\d{1,10}))?\s*", item)
        if not match:
            raise InputError(f"{asked} {text!r}: {item!r} is not a seed; type numbers or ranges such as 0-2,7")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise InputError(f"{asked} {text!r}: the range {item.strip()} runs backwards; type {last}-{first}")
        if last >= 2**31 or last - first >= MAX_SEEDS:
            raise InputError(f"{asked} {text!r}: seeds go up to {2**31 - 1}, at most {MAX_SEEDS:,} in a range")
        seeds |= dict.fromkeys(range(first, last + 1))
        if len(seeds) > MAX_SEEDS:
            raise InputError(f"{asked}: more than {MAX_SEEDS:,} seeds; ask for fewer")
    return tuple(seeds)


def parse_rates(text: str, asked: str = "--lrs") -> tuple[Rates, ...]:
    """Parse a comma list of learning rates; `4e-4:1e-4` gives the generator's and the discriminator's."""
    rates: list[Rates] = []
    for item in text.split(","):
        parts = item.strip().split(":")
        try:
            numbers = [float(part) for part in parts]
        except ValueError:
            numbers = []
        if len(numbers) not in (1, 2):
            raise InputError(
                f"{asked} {text!r}: {item!r} is not a learning rate; type 1e-4,2e-4 or 4e-4:1e-4 (G:D)"
            )
        if not all(0 < number < 10 for number in numbers):
            raise InputError(f"{asked} {text!r}: {item.strip()!r} must be above 0 and below 10")
        rates.append((numbers[0], numbers[-1]))
    return tuple(dict.fromkeys(rates))


def parse_seconds(text: str, asked: str) -> float:
    """Parse a time such as 60, 90s, 15m or 2h into seconds."""
    match = re.fullmatch(r"\s*(\d{1,9}(?:\.\d{1,6})?)\s*([smhd]?)\s*", text)
    seconds = float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}[match[2]] if match else 0.0
    if seconds <= 0:
        raise InputError(f"{asked} {text!r}: not a time above 0; type seconds or 90s, 15m, 2h")
    return seconds


def parse_path(text: str, asked: str) -> Path:
    """Return an absolute path with `~` or `~user` expanded, so that it stays the same wherever user code goes.

    Raises InputError for an empty text, and where there is no such user, home folder or working directory.
    """
    if not text:
        raise InputError(f"{asked} '': an empty path; type a file or a folder")
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError:
        raise InputError(f"{asked} {text!r}: there is no such home folder; type the whole path") from None
    except OSError:
        raise InputError(f"{asked} {text!r}: the working directory was removed; type the whole path") from None
    except ValueError as error:
        raise InputError(f"{asked} {text!r}: {error}; type another path") from None


def parse_settings(items: Sequence[str], asked: str = "--set") -> dict[str, Scalar]:
    """Parse `KEY=VALUE` items; values that read as JSON numbers or booleans become them, others stay text."""
    settings: dict[str, Scalar] = {}
    for item in items:
        key, equals, text = item.partition("=")
        key, text = key.strip(), text.strip()
        if not equals or not re.fullmatch(r"[a-z][a-z0-9_]*", key) or not text:
            raise InputError(f"{asked} {item!r}: type KEY=VALUE, such as {asked} width=0.5")
        if key in settings:
            raise InputError(f"{asked} {key} was given twice: give it once")
        settings[key] = _scalar(text)
    return settings


def _scalar(text: str) -> Scalar:
    if text[0] in "[{":
        return text
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, (bool, int, float, str)) else text
