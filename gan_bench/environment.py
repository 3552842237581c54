"""What a run was made with: versions, device, memory; and the device that a name stands for."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import gc
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil
import torch

from gan_bench._version import __version__
from gan_bench.errors import InputError

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
"""What products in a fixed order need (`be_deterministic`); CUDA asks only once, before the first of any kind."""

PACKAGES = ("torch", "torchvision", "torch-fidelity", "numpy", "scipy", "pandas", "safetensors")


def find_device(name: str) -> torch.device:
    """Return the device called `name` (auto, cpu, cuda, cuda:1, mps), a GPU with its number.

    Raises InputError if it is not there.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise InputError(f"--device {name!r}: no such device; type auto, cpu, cuda, cuda:1 or mps") from None
    count = torch.cuda.device_count()
    there = {
        "cpu": device.index in (None, 0),
        "cuda": count > (device.index or 0),
        "mps": torch.backends.mps.is_available(),
    }
    if not there.get(device.type, False):
        has = f"{count} CUDA device{'s' if count != 1 else ''}"
        raise InputError(f"--device {name}: it is not there (this machine has {has}); type --device auto or cpu")
    if device.type == "cuda" and device.index is None:
        return torch.device("cuda", torch.cuda.current_device())
    return device


def device_name(device: torch.device) -> str:
    """Return what the maker calls the device."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return _cpu_says("model name") or platform.processor() or platform.machine()


def cpu_vendor() -> str:
    """Return the processor's maker as Linux calls it (GenuineIntel, AuthenticAMD), or nothing elsewhere."""
    return _cpu_says("vendor_id")


@functools.cache
def _cpu_says(key: str) -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith(key):
                return line.partition(":")[2].strip()
    return ""


def describe(device: torch.device) -> dict[str, Any]:
    """Return versions, device, threads and commit: what environment.json keeps."""
    return {
        "gan_bench_version": __version__,
        "commit": commit(),
        "python_version": platform.python_version(),
        "platform": platform.platform(),
        "device": str(device),
        "device_name": device_name(device),
        "threads": torch.get_num_threads(),
        "cuda_version": torch.version.cuda if device.type == "cuda" else None,
        **{f"{name.replace('-', '_')}_version": version_of(name) for name in PACKAGES},
    }


def version_of(package: str) -> str:
    """Return the installed version of a package, or nothing."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def commit() -> str:
    """Return the commit of the source tree that runs, with + where it was changed; empty outside a checkout."""
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return ""
    try:
        asked = ["git", "-C", str(root), "describe", "--always", "--dirty=+", "--exclude=*", "--abbrev=12"]
        return subprocess.run(asked, capture_output=True, text=True, timeout=5, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def be_deterministic() -> None:
    """Let this process compute in a fixed order on a GPU, at a price in speed; before the GPU is used.

    Operations that have no such order raise RuntimeError.
    """
    torch.backends.cudnn.benchmark = False
    torch.use_deterministic_algorithms(True)
    # on top of that, PyTorch would fill every tensor that it allocates; nothing is read here before it is written
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def is_deterministic() -> bool:
    """Return whether `be_deterministic` was called."""
    return torch.are_deterministic_algorithms_enabled()


@contextlib.contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Compute in true fp32 within the block, however training is set up: no tf32, no autocast."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    matmul.allow_tf32 = cudnn.allow_tf32 = False
    try:
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = before


def keep_freed_memory() -> None:
    """Let glibc keep what tensors free for the next step, as PyTorch does on a GPU; elsewhere nothing changes.

    By default each large tensor is mapped anew and its pages are cleared by the kernel, step after step: a tenth
    to a sixth of a DCGAN's step on a CPU. `reset_peak_memory` gives back what is kept.
    """
    set_option = getattr(_c_library(), "mallopt", None)
    if set_option:
        for option, value in ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, -1), (M_TOP_PAD, 64 * 2**20)):
            set_option(option, value)


M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
"""glibc's names for what `mallopt` sets (malloc.h)."""


def _c_library() -> object:
    return ctypes.CDLL(None) if os.name == "posix" else None


def release_memory(device: torch.device) -> None:
    """Give back what was freed but kept for later: other processes may need it."""
    trim = getattr(_c_library(), "malloc_trim", None)
    if trim:
        trim(0)
    if device.type == "cuda":
        gc.collect()
        torch.cuda.empty_cache()


def reset_peak_memory(device: torch.device) -> None:
    """Begin a new measurement of peak memory, on the device and, where the system can, of the process."""
    release_memory(device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # Linux: resets VmHWM


def peak_memory(device: torch.device) -> tuple[int, int]:
    """Return the peak bytes on the device and of the process; on a CPU both are the process's resident size."""
    host = _peak_resident()
    return (torch.cuda.max_memory_allocated(device) if device.type == "cuda" else host), host


def free_memory(device: torch.device) -> int:
    """Return the bytes that are free on the device, or, on a CPU, to processes of this machine."""
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
    import resource  # not to be had on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
