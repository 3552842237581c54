"""Devices by name, peak and free memory, and numerics."""

from __future__ import annotations

import pytest
import torch

from gan_bench.core.errors import InputError
from gan_bench.devices import memory, numerics, select

CPU = torch.device("cpu")


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)


@pytest.mark.usefixtures("two_gpus")
@pytest.mark.parametrize(("name", "index"), [("auto", 0), ("cuda", 0), ("cuda:0", 0), ("cuda:1", 1)])
def test_gpu_has_an_index(name: str, index: int) -> None:
    """torch.cuda.set_device requires one."""
    assert select.find_device(name) == torch.device("cuda", index)


@pytest.mark.usefixtures("two_gpus")
def test_missing_gpu_is_an_error() -> None:
    with pytest.raises(InputError, match=r"--device cuda:2: not available \(this machine has 2 CUDA devices\)"):
        select.find_device("cuda:2")


@pytest.mark.usefixtures("two_gpus")
def test_error_for_another_device_counts_gpus() -> None:
    with pytest.raises(InputError, match=r"--device meta: not available \(this machine has 2 CUDA devices\)"):
        select.find_device("meta")


def test_auto_is_the_cpu_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert select.find_device("auto") == CPU


@pytest.mark.parametrize("name", ["gpu", "cuda:x", ""])
def test_unknown_device_is_an_error(name: str) -> None:
    with pytest.raises(InputError, match="unknown device; type auto, cpu, cuda, cuda:1 or mps"):
        select.find_device(name)


def test_peak_memory_counts_from_its_reset() -> None:
    memory.reset_peak_memory(CPU)
    before = memory.peak_memory(CPU)[0]
    block = torch.ones(64 * 2**20, dtype=torch.uint8)
    after = memory.peak_memory(CPU)[0]
    assert 48 * 2**20 < after - before < 96 * 2**20
    assert memory.peak_memory(CPU)[1] == after
    del block


def test_free_memory_is_plausible() -> None:
    assert 2**24 < memory.free_memory(CPU) < 2**50


def test_full_precision_is_restored_after_the_block() -> None:
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    try:
        matmul.allow_tf32 = cudnn.allow_tf32 = True
        with torch.autocast("cpu", torch.bfloat16), numerics.full_precision(CPU):
            assert not matmul.allow_tf32
            assert not cudnn.allow_tf32
            assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32
        assert matmul.allow_tf32
        assert cudnn.allow_tf32
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = before
