"""Memory of a device and of this process."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import sys
from pathlib import Path

import psutil
import torch


def keep_freed_memory() -> None:
    """Make glibc keep freed memory for the next step, as PyTorch does on a GPU; no effect on other systems.

    By default each large tensor is mapped again and its pages are cleared by the kernel, step after step: a tenth
    to a sixth of a DCGAN's step on a CPU. `release_memory` returns what is kept.
    """
    set_option = getattr(_c_library(), "mallopt", None)
    if set_option:
        for option, value in ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, -1), (M_TOP_PAD, 64 * 2**20)):
            set_option(option, value)


M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
"""Parameters of glibc's `mallopt` (malloc.h)."""


def _c_library() -> object:
    return ctypes.CDLL(None) if os.name == "posix" else None


def release_memory(device: torch.device) -> None:
    """Return freed memory that is cached for later to the system, for other processes."""
    trim = getattr(_c_library(), "malloc_trim", None)
    if trim:
        trim(0)
    if device.type == "cuda":
        gc.collect()
        torch.cuda.empty_cache()


def reset_peak_memory(device: torch.device) -> None:
    """Start a new measurement of peak memory, on the device and, on Linux, of the process."""
    release_memory(device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # Linux: resets VmHWM


def peak_memory(device: torch.device) -> tuple[int, int]:
    """Return the peak bytes on the device and of the process; on a CPU both are the peak resident size."""
    host = _peak_resident()
    return (torch.cuda.max_memory_allocated(device) if device.type == "cuda" else host), host


def free_memory(device: torch.device) -> int:
    """Return the free bytes of the device; for a CPU, the memory available on this machine."""
    if device.type == "cuda":
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + kept
    return int(psutil.virtual_memory().available)


def _peak_resident() -> int:
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    import resource  # not available on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
