"""Data, trained extractors and an evaluator that the tests of this room share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from gan_bench.data.dataset import ImageData, datasets
from gan_bench.metrics.evaluator import Evaluator
from gan_bench.spec import Evaluation

ROOT = Path(os.environ.get("GAN_BENCH_DATA", Path(__file__).parents[2].parent / "shared" / "data"))
CPU = torch.device("cpu")


@pytest.fixture(scope="session", autouse=True)
def _few_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(min(2, before))
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def synthetic() -> ImageData:
    return datasets.get("synthetic").load(Path("nowhere"), offline=True, notify=print)


@pytest.fixture(scope="session")
def mnist() -> ImageData:
    source = datasets.get("mnist")
    if not source.at_hand(ROOT):
        pytest.skip("MNIST is not at hand: set GAN_BENCH_DATA")
    return source.load(ROOT, offline=True, notify=print)


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache") / "metrics"


@pytest.fixture(scope="session")
def evaluator(synthetic: ImageData, cache: Path) -> Evaluator:
    """An evaluator of the synthetic data set, ready."""
    plan = Evaluation(extractors=("auto",), samples=256)
    made = Evaluator(synthetic, plan, device=CPU, cache_dir=cache, offline=True, notify=print)
    made.prepare()
    return made


@pytest.fixture(scope="session")
def mnist_evaluator(mnist: ImageData, cache: Path) -> Evaluator:
    """An evaluator of MNIST by mnist-cnn, ready."""
    plan = Evaluation(extractors=("mnist-cnn",), samples=500)
    made = Evaluator(mnist, plan, device=CPU, cache_dir=cache, offline=True, notify=print)
    made.prepare()
    return made
