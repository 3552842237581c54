"""The device of the GPU tests: a real GPU, or the emulated one (see emulator/README.md); skipped without both."""

from __future__ import annotations

import ctypes
import gc
import importlib
import os
from collections.abc import Iterator

import pytest
import torch

from gan_bench.devices import memory
from gan_bench.models.base import models
from gan_bench.training import precision
from gan_bench.training.lanes import conv_autotune

EMULATED = bool(os.environ.get("EMULATED_GPU"))
NO_GPU = "no GPU; `python tests/gpu/emulator/run.py -m pytest tests/gpu` runs these on an emulated one"
TOTAL_MEMORY_BYTES = 100 * 2**30
if EMULATED and not torch._C._len_torch_dispatch_stack():  # a worker process of pytest-xdist
    importlib.import_module("arithmetic").enable()


@pytest.fixture(scope="session", autouse=True)
def _fast_garbage_collection() -> Iterator[None]:
    """Exclude the objects of imported modules from garbage collection, which each capture starts three times."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Iterator[torch.device]:
    """The first GPU; process-wide settings are restored after the test."""
    if not torch.cuda.is_available():
        pytest.skip(NO_GPU)
    if EMULATED:  # times mean nothing
        monkeypatch.setattr(conv_autotune, "REPEATS", 1)
        monkeypatch.setattr(conv_autotune, "CALLS", 1)
    deterministic = torch.are_deterministic_algorithms_enabled()
    yield torch.device("cuda", 0)
    torch.use_deterministic_algorithms(deterministic)
    precision.set_matmul("fp32")


@pytest.fixture
def real_gpu(device: torch.device) -> torch.device:
    """A GPU that executes kernels."""
    if EMULATED:
        pytest.skip("torch.compile generates kernels, which the emulator does not execute")
    return device


class Emulator:
    """Counters and memory of the emulated GPU."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(None)

    def launches(self) -> int:
        """Kernels and graphs launched so far."""
        return int(self._library.emulated_launches())

    def waits(self) -> int:
        """Synchronizations of host and device so far."""
        return int(self._library.emulated_waits())

    def set_free_memory(self, size_bytes: int) -> None:
        """Limit the memory that can be allocated from now on."""
        memory.release_memory(torch.device("cuda", 0))
        self._library.emulated_set_free_memory(ctypes.c_size_t(size_bytes))


@pytest.fixture
def emulator(device: torch.device) -> Iterator[Emulator]:
    if not EMULATED:
        pytest.skip("uses the emulator's counters and memory limit")
    found = Emulator()
    yield found
    found.set_free_memory(TOTAL_MEMORY_BYTES)


@pytest.fixture(params=("vanilla", "dcgan28") if EMULATED else models.names())
def model_name(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name
