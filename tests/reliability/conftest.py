from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from importlib.util import cache_from_source
from pathlib import Path

import pytest
import torch
from helpers import kept_results
from helpers.toy_run import toy_spec


@pytest.fixture(scope="session", autouse=True)
def _bytecode_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let child processes share bytecode where Python writes none: compiling torch takes seconds."""
    needed = sys.dont_write_bytecode and not Path(cache_from_source(torch.__file__)).exists()
    with pytest.MonkeyPatch.context() as patch:
        if needed and "PYTHONPYCACHEPREFIX" not in os.environ:
            patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
            patch.setenv("PYTHONPYCACHEPREFIX", str(tmp_path_factory.mktemp("bytecode")))
        yield


@pytest.fixture(scope="session")
def kept(tmp_path_factory: pytest.TempPathFactory, score_cache: Path) -> Path:
    """A results folder to damage copies of; see helpers.kept_results."""
    out = tmp_path_factory.mktemp("kept") / "out"
    kept_results.make(out, score_cache)
    return out


@pytest.fixture
def specs() -> list[str]:
    """Forty specs, as JSON."""
    return [toy_spec(seed).model_dump_json() for seed in range(40)]
