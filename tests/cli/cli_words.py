"""Commands that the tests of the command line type, and how they read the answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeAlias

from click.testing import Result

Typed: TypeAlias = Callable[..., Result]

RUN = ("run", "--preset", "smoke", "--dataset", "digits", "--extractors", "mnist-cnn", "--offline", "--out", "out")
SMALL = (
    *("run", "--dataset", "digits", "--extractors", "mnist-cnn", "--metrics", "fid", "--eval-samples", "160"),
    *("--preset", "smoke", "--batch-size", "64", "--epochs", "3", "--set", "width=0.0625", "--offline"),
)
"""Nothing to download, no extractor to train, 60 steps."""


def json_lines(text: str) -> list[dict[str, Any]]:
    """Return each line's object; NaN and Infinity, which JSON doesn't know, are errors."""

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    return [json.loads(line, parse_constant=refuse) for line in text.splitlines()]
