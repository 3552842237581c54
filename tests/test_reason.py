"""Reasons are one line each, whatever an exception or a process has to say."""

from __future__ import annotations

import pytest
import torch

from gan_bench.errors import InputError
from gan_bench.reason import TAIL_CHARACTERS, is_lack_of_memory, reason_of, reason_of_exit, tail


def raised(error: Exception) -> Exception:
    with pytest.raises(type(error)) as caught:
        raise error
    return caught.value


def test_an_exception_is_told_in_one_line_with_its_place() -> None:
    told = reason_of(raised(ValueError("a shape is wrong\n  File of many\nlines")))
    assert told.startswith("ValueError: a shape is wrong (test_reason.py:")
    assert "\n" not in told


def test_an_exception_without_words_has_its_name() -> None:
    assert reason_of(KeyError()) == "KeyError"


def test_torchs_advice_on_memory_is_left_out() -> None:
    told = "CUDA out of memory. Tried to allocate 2.00 MiB. GPU 0 has a total capacity of 1.00 MiB"
    advice = ". If reserved but unallocated memory is large try setting PYTORCH_ALLOC_CONF=..."
    assert reason_of(torch.OutOfMemoryError(told + advice)) == f"OutOfMemoryError: {told}."


def test_wrong_input_says_what_it_says() -> None:
    assert reason_of(raised(InputError("--epochs 0: type 1 or more"))) == "--epochs 0: type 1 or more"


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory"),
        MemoryError(),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
)
def test_lack_of_memory_is_known_by_its_words(error: Exception) -> None:
    assert is_lack_of_memory(reason_of(raised(error)))
    assert not is_lack_of_memory(reason_of(ValueError("a shape is wrong")))


@pytest.mark.parametrize(
    ("code", "ready", "told"),
    [
        (-9, True, "its process was ended by SIGKILL; most often the machine ran out of memory"),
        (-15, True, "its process was ended by SIGTERM"),
        (3, True, "its process ended in the middle, with exit code 3"),
    ],
)
def test_an_exit_code_has_a_meaning(code: int, ready: bool, told: str) -> None:
    assert reason_of_exit(code, ready=ready) == told


def test_of_a_log_the_end_is_kept() -> None:
    assert tail("x" * 5000 + "the end\n") == "x" * (TAIL_CHARACTERS - 8) + "the end"
