"""Fixtures of all tests: small matrices on synthetic images, and one cache for the whole session."""

from __future__ import annotations

import os
import sys

# Hundreds of processes are started, and each would compile PyTorch's modules again, which takes seconds.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
if "PYTEST_XDIST_WORKER" in os.environ:  # one thread per worker; before torch is loaded
    for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(_name, "1")

import functools
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import torch
from helpers.whole_runs import SMALL, Trial

import gan_bench as gb
from gan_bench.core.evaluation_spec import EvaluationSpec
from gan_bench.core.events import ignore_events
from gan_bench.data.base import datasets
from gan_bench.losses.base import losses
from gan_bench.metrics.base import metrics
from gan_bench.metrics.evaluator import Evaluator
from gan_bench.metrics.extractors.base import extractors
from gan_bench.models.base import models
from gan_bench.penalties.base import penalties
from gan_bench.runner import preflight
from gan_bench.runner.executors.in_process import InProcessExecutor
from gan_bench.runner.executors.local import LocalExecutor

FILL_SECONDS = 240.0

hypothesis.settings.register_profile("ci", derandomize=True, print_blob=True)
"""The same examples each time: in CI a rare example must not fail an unrelated change."""
if os.environ.get("CI"):
    hypothesis.settings.load_profile("ci")


@pytest.fixture(scope="session", autouse=True)
def _no_fsync() -> Iterator[None]:
    """Skip fsync, which costs tens of milliseconds: no test cuts the power."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture(autouse=True)
def _in_process(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Execute single jobs in this process, fast and open to patches, unless a test is marked `workers`."""
    if request.node.get_closest_marker("workers"):
        return
    in_workers = LocalExecutor.run_groups

    def run_groups(self: LocalExecutor, *args: Any, options: gb.Options, **values: Any) -> None:
        alone = options.jobs == 1 and options.run_timeout is None
        execute = InProcessExecutor().run_groups if alone else functools.partial(in_workers, self)
        execute(*args, options=options, **values)

    monkeypatch.setattr(LocalExecutor, "run_groups", run_groups)
    monkeypatch.setattr(preflight, "registered_by_program", lambda: ["a test"])


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's cache folder (XDG_CACHE_HOME) with the extractor of the synthetic images.

    It is trained once for all xdist workers. Tests may add to it, but not change or remove what is in it.
    """
    base = tmp_path_factory.getbasetemp()
    root = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "user-cache"
    filled = root / "filled"
    try:
        root.mkdir()
    except FileExistsError:  # another worker fills it
        deadline = time.monotonic() + FILL_SECONDS
        while not filled.exists() and time.monotonic() < deadline:
            time.sleep(0.1)
    if not filled.exists():
        data = datasets.get("synthetic").load(root, offline=True, on_event=ignore_events)
        spec = EvaluationSpec(samples=SMALL["eval_samples"])
        folder = metrics_cache(root)
        cpu = torch.device("cpu")
        Evaluator(data, spec, device=cpu, cache_dir=folder, offline=True, on_event=ignore_events).prepare()
        filled.touch()
    return root


def metrics_cache(cache: Path) -> Path:
    """Return the part of a user's cache that `--cache-dir` names."""
    return cache / "gan_bench" / "metrics"


@pytest.fixture(scope="session")
def score_cache(cache: Path) -> Path:
    """The folder of extractors and reference scores."""
    return metrics_cache(cache)


@pytest.fixture
def trial(tmp_path: Path, score_cache: Path) -> Callable[..., Trial]:
    """Make a Trial: a matrix and options, small enough for a test."""

    def make(out: str = "out", **changes: object) -> Trial:
        options = {name: changes.pop(name) for name in list(changes) if name in gb.Options.model_fields}
        return Trial(tmp_path / out, score_cache, changes, options)

    return make


@pytest.fixture
def borrowed_registries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Undo registrations after the test: other tests are parametrized over the registries."""
    for registry in (models, losses, penalties, metrics, extractors):
        registry.names()  # loads the built-in ones
        monkeypatch.setattr(registry, "_objects", dict(registry._objects))
