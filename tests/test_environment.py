"""Devices by name, and memory: what is given back, what a peak counts."""

from __future__ import annotations

import pytest
import torch

from gan_bench import environment
from gan_bench.errors import InputError

CPU = torch.device("cpu")


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)


@pytest.mark.usefixtures("two_gpus")
@pytest.mark.parametrize(("name", "index"), [("auto", 0), ("cuda", 0), ("cuda:0", 0), ("cuda:1", 1)])
def test_a_gpu_has_its_number(name: str, index: int) -> None:
    """torch.cuda.set_device, and others, refuse a device without one."""
    assert environment.find_device(name) == torch.device("cuda", index)


@pytest.mark.usefixtures("two_gpus")
def test_a_gpu_that_is_not_there_is_refused() -> None:
    with pytest.raises(InputError, match=r"--device cuda:2: it is not there \(this machine has 2 CUDA devices\)"):
        environment.find_device("cuda:2")


@pytest.mark.usefixtures("two_gpus")
def test_gpus_are_counted_whatever_was_asked_for() -> None:
    with pytest.raises(InputError, match=r"--device meta: it is not there \(this machine has 2 CUDA devices\)"):
        environment.find_device("meta")


def test_without_a_gpu_auto_is_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert environment.find_device("auto") == CPU


@pytest.mark.parametrize("name", ["gpu", "cuda:x", ""])
def test_a_name_of_nothing_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="no such device; type auto, cpu, cuda, cuda:1 or mps"):
        environment.find_device(name)


def test_a_peak_counts_what_was_used_since_its_reset() -> None:
    environment.reset_peak_memory(CPU)
    before = environment.peak_memory(CPU)[0]
    block = torch.ones(64 * 2**20, dtype=torch.uint8)
    after = environment.peak_memory(CPU)[0]
    assert 48 * 2**20 < after - before < 96 * 2**20
    assert environment.peak_memory(CPU)[1] == after
    del block


def test_freed_memory_is_free() -> None:
    assert 2**24 < environment.free_memory(CPU) < 2**50


def test_full_precision_is_undone() -> None:
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    try:
        matmul.allow_tf32 = cudnn.allow_tf32 = True
        with torch.autocast("cpu", torch.bfloat16), environment.full_precision(CPU):
            assert not matmul.allow_tf32
            assert not cudnn.allow_tf32
            assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32
        assert matmul.allow_tf32
        assert cudnn.allow_tf32
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = before
