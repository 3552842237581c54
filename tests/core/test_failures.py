"""Failure reasons: one line for any exception, exit code or log."""

from __future__ import annotations

import pytest
import torch

from gan_bench.core.errors import InputError
from gan_bench.core.failures import LOG_TAIL_CHARACTERS, exit_reason, failure_reason, is_out_of_memory, log_tail


def raised(error: Exception) -> Exception:
    with pytest.raises(type(error)) as caught:
        raise error
    return caught.value


def test_a_reason_is_one_line_with_type_message_and_location() -> None:
    reason = failure_reason(raised(ValueError("a shape is wrong\n  File of many\nlines")))
    assert reason.startswith("ValueError: a shape is wrong (test_failures.py:")
    assert "\n" not in reason


def test_an_exception_without_a_message_has_its_type() -> None:
    assert failure_reason(KeyError()) == "KeyError"


def test_torchs_general_advice_on_memory_is_removed() -> None:
    message = "CUDA out of memory. Tried to allocate 2.00 MiB. GPU 0 has a total capacity of 1.00 MiB"
    advice = ". If reserved but unallocated memory is large try setting PYTORCH_ALLOC_CONF=..."
    assert failure_reason(torch.OutOfMemoryError(message + advice)) == f"OutOfMemoryError: {message}."


def test_the_reason_of_an_input_error_is_its_message() -> None:
    assert failure_reason(raised(InputError("--epochs 0: type 1 or more"))) == "--epochs 0: type 1 or more"


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory"),
        MemoryError(),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
)
def test_out_of_memory_is_recognised_by_its_message(error: Exception) -> None:
    assert is_out_of_memory(failure_reason(raised(error)))
    assert not is_out_of_memory(failure_reason(ValueError("a shape is wrong")))


@pytest.mark.parametrize(
    ("code", "ready", "reason"),
    [
        (-9, True, "its process was killed by SIGKILL; most often the machine ran out of memory"),
        (-15, True, "its process was killed by SIGTERM"),
        (3, True, "its process exited while running, with exit code 3"),
        (-99, True, "its process was killed by signal 99"),
        (1, False, "its process exited before it started, with exit code 1"),
    ],
)
def test_an_exit_code_is_explained(code: int, ready: bool, reason: str) -> None:
    assert exit_reason(code, ready=ready) == reason


def test_the_end_of_a_log_is_kept() -> None:
    assert log_tail("x" * 5000 + "the end\n") == "x" * (LOG_TAIL_CHARACTERS - 8) + "the end"
    assert log_tail("Fatal Python error\nExtension modules: " + "numpy, " * 900) == "Fatal Python error"
