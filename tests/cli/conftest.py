"""Fixtures of the command-line tests: a function that invokes commands, and one results folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from helpers.cli_words import SMALL, Invoke
from helpers.kept_results import read_pictures_only

from gan_bench.cli.main import main
from gan_bench.report import write_report


@pytest.fixture(scope="session")
def isolated_home(cache: Path) -> Iterator[Path]:
    """The session's cache and data folder instead of the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(cache))
        patch.delenv("GAN_BENCH_DATA", raising=False)
        yield cache


@pytest.fixture(scope="session")
def invoke(isolated_home: Path) -> Invoke:
    """Run a command; return its exit code, stdout and stderr. Plots are stubs, since rendering takes seconds."""

    def run(*words: object, **more: Any) -> Result:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(write_report, "render_plots", read_pictures_only)
            return CliRunner().invoke(main, [str(word) for word in words], prog_name="gan-bench", **more)

    return run


@pytest.fixture(scope="session")
def first(invoke: Invoke, tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Path]:
    """Two models with two seeds, trained once for all tests: the command's result and the results folder."""
    out = tmp_path_factory.mktemp("cli") / "out"
    return invoke(*SMALL, "--models", "vanilla,dcgan", "--seeds", "0-1", "--out", out), out
