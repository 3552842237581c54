"""Data sets, trained extractors and evaluators that the tests of metrics share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from helpers.data_root import DATA_ROOT

from gan_bench.core.evaluation_spec import EvaluationSpec
from gan_bench.core.events import ignore_events
from gan_bench.data.base import ImageData, datasets
from gan_bench.metrics.evaluator import Evaluator

CPU = torch.device("cpu")


@pytest.fixture(scope="session", autouse=True)
def _few_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(min(2, before))
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def synthetic() -> ImageData:
    return datasets.get("synthetic").load(Path("nowhere"), offline=True, on_event=ignore_events)


@pytest.fixture(scope="session")
def mnist() -> ImageData:
    source = datasets.get("mnist")
    if not source.is_available(DATA_ROOT):
        pytest.skip("MNIST is not available: set GAN_BENCH_DATA")
    return source.load(DATA_ROOT, offline=True, on_event=ignore_events)


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache") / "metrics"


@pytest.fixture(scope="session")
def evaluator(synthetic: ImageData, cache: Path) -> Evaluator:
    """A prepared evaluator of the synthetic data set."""
    spec = EvaluationSpec(extractors=("auto",), samples=256)
    made = Evaluator(synthetic, spec, device=CPU, cache_dir=cache, offline=True, on_event=ignore_events)
    made.prepare()
    return made


@pytest.fixture(scope="session")
def mnist_evaluator(mnist: ImageData, cache: Path) -> Evaluator:
    """A prepared evaluator of MNIST with mnist-cnn."""
    spec = EvaluationSpec(extractors=("mnist-cnn",), samples=500)
    made = Evaluator(mnist, spec, device=CPU, cache_dir=cache, offline=True, on_event=ignore_events)
    made.prepare()
    return made
