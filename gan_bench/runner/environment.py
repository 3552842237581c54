"""Environment of a run: versions, device, threads, commit."""

from __future__ import annotations

import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from gan_bench._version import __version__
from gan_bench.core.options import Options
from gan_bench.devices import numerics
from gan_bench.devices.select import device_name
from gan_bench.training import cpu_kernels

PACKAGES = ("torch", "torchvision", "torch-fidelity", "numpy", "scipy", "pandas", "safetensors")


def describe(device: torch.device, options: Options) -> dict[str, Any]:
    """Return versions, device, threads, kernels and commit: the content of environment.json."""
    return {
        "gan_bench_version": __version__,
        "commit": commit(),
        "python_version": platform.python_version(),
        "platform": platform.platform(),
        "device": str(device),
        "device_name": device_name(device),
        "threads": torch.get_num_threads(),
        "cpu_kernels": cpu_kernels.active(device, options.cpu_kernels),
        "deterministic": numerics.is_deterministic(),
        "eval_every": options.eval_every,
        "cuda_version": torch.version.cuda if device.type == "cuda" else None,
        **{f"{name.replace('-', '_')}_version": version_of(name) for name in PACKAGES},
    }


def version_of(package: str) -> str:
    """Return the installed version of a package; empty if it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def commit() -> str:
    """Return the commit of the source tree, with + for uncommitted changes; empty outside a checkout."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return ""
    try:
        asked = ["git", "-C", str(root), "describe", "--always", "--dirty=+", "--exclude=*", "--abbrev=12"]
        return subprocess.run(asked, capture_output=True, text=True, timeout=5, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
