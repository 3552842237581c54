from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import kept_results
import pytest

from gan_bench.spec import Evaluation, RunSpec


@pytest.fixture(scope="session", autouse=True)
def _compiled_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Where Python may keep no bytecode, each of a dozen interpreters would compile torch anew, for seconds."""
    with pytest.MonkeyPatch.context() as patch:
        if sys.dont_write_bytecode and "PYTHONPYCACHEPREFIX" not in os.environ:
            patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
            patch.setenv("PYTHONPYCACHEPREFIX", str(tmp_path_factory.mktemp("bytecode")))
        yield


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's cache that outlives a test: the classifier of the shapes is trained once."""
    return tmp_path_factory.mktemp("user-cache")


@pytest.fixture(scope="session")
def kept(tmp_path_factory: pytest.TempPathFactory, score_cache: Path) -> Path:
    """A results folder to damage copies of; see kept_results."""
    out = tmp_path_factory.mktemp("kept") / "out"
    kept_results.make(out, score_cache)
    return out


@pytest.fixture
def specs() -> list[str]:
    """Forty specs, as JSON."""
    return [
        RunSpec(
            model="vanilla", loss="bce", dataset="digits", image_size=28, channels=1, seed=seed, lr_g=2e-4,
            lr_d=2e-4, batch_size=64, epochs=3, settings={}, evaluation=Evaluation(),
        ).model_dump_json()
        for seed in range(40)
    ]  # fmt: skip
