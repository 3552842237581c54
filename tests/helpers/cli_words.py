"""Command lines for tests, and reading their JSON output."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeAlias

from click.testing import Result

Invoke: TypeAlias = Callable[..., Result]
"""Runs a command in this process; returns its exit code, stdout and stderr."""

RUN = ("run", "--preset", "smoke", "--dataset", "digits", "--extractors", "mnist-cnn", "--offline", "--out", "out")
SMALL = (
    *("run", "--dataset", "digits", "--extractors", "mnist-cnn", "--metrics", "fid", "--eval-samples", "160"),
    *("--preset", "smoke", "--batch-size", "64", "--epochs", "3", "--set", "width=0.0625", "--offline"),
)
"""60 steps, without a download or an extractor to train."""


def json_lines(text: str) -> list[dict[str, Any]]:
    """Return each line's object; raise AssertionError for NaN and Infinity, which are not JSON."""

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    return [json.loads(line, parse_constant=refuse) for line in text.splitlines()]
