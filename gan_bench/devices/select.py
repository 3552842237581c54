"""Device selection by name."""

from __future__ import annotations

import contextlib
import functools
import platform
from pathlib import Path

import torch

from gan_bench.core.errors import InputError


def find_device(name: str) -> torch.device:
    """Return the device called `name` (auto, cpu, cuda, cuda:1, mps); a GPU has an index.

    Raises InputError if the device is not available.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise InputError(f"--device {name!r}: unknown device; type auto, cpu, cuda, cuda:1 or mps") from None
    count = torch.cuda.device_count()
    available = {
        "cpu": device.index in (None, 0),
        "cuda": count > (device.index or 0),
        "mps": torch.backends.mps.is_available(),
    }
    if not available.get(device.type, False):
        has = f"{count} CUDA device{'s' if count != 1 else ''}"
        raise InputError(f"--device {name}: not available (this machine has {has}); type --device auto or cpu")
    if device.type == "cuda" and device.index is None:
        return torch.device("cuda", torch.cuda.current_device())
    return device


def device_name(device: torch.device) -> str:
    """Return the device's product name."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def cpu_vendor() -> str:
    """Return the CPU vendor as Linux reports it (GenuineIntel, AuthenticAMD); empty on other systems."""
    return _cpuinfo("vendor_id")


@functools.cache
def _cpuinfo(key: str) -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith(key):
                return line.partition(":")[2].strip()
    return ""
