"""What the tests of the whole program share: small matrices on drawn shapes, and one cache for all of them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest
from whole_runs import Trial

import gan_bench as gb
from gan_bench.losses.loss import losses
from gan_bench.models.model import models

hypothesis.settings.register_profile("ci", derandomize=True, print_blob=True)
"""In CI a property is tried on the same examples each time: a rare one must not refuse somebody's change."""
if os.environ.get("CI"):
    hypothesis.settings.load_profile("ci")


@pytest.fixture(scope="session")
def score_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that outlives a test: the classifier of the shapes is trained once."""
    return tmp_path_factory.mktemp("scores")


@pytest.fixture
def trial(tmp_path: Path, score_cache: Path) -> Callable[..., Trial]:
    """Make a Trial: a matrix and options, small enough for a test."""

    def make(out: str = "out", **changes: object) -> Trial:
        options = {name: changes.pop(name) for name in list(changes) if name in gb.Options.__dataclass_fields__}
        return Trial(tmp_path / out, score_cache, changes, options)

    return make


@pytest.fixture
def borrowed_registries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget after the test what it registers: other tests are parametrised over the registries."""
    for registry in (models, losses):
        registry.names()  # whatever is built in, first
        monkeypatch.setattr(registry, "_things", dict(registry._things))
