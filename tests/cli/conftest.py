"""What the tests of the command line share: a way to type commands, and one results folder made by them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cli_words import SMALL, Typed
from click.testing import CliRunner, Result

from gan_bench.cli.group import main


@pytest.fixture(scope="session")
def scores_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep the user's own cache and data out of the tests."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(home))
        patch.delenv("GAN_BENCH_DATA", raising=False)
        yield home


@pytest.fixture(scope="session")
def typed(scores_home: Path) -> Typed:
    """Type a command; get its exit code, stdout and stderr."""

    def run(*words: object, **more: Any) -> Result:
        return CliRunner().invoke(main, [str(word) for word in words], prog_name="gan-bench", **more)

    return run


@pytest.fixture(scope="session")
def first(typed: Typed, tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Path]:
    """Two models and two seeds, run once for all tests: what was said, and the results folder."""
    out = tmp_path_factory.mktemp("cli") / "out"
    return typed(*SMALL, "--models", "vanilla,dcgan", "--seeds", "0-1", "--out", out), out
