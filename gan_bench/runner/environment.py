"""Environment of a run: everything besides its spec that can change its numbers."""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import re
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from gan_bench._version import __version__
from gan_bench.core.options import Options
from gan_bench.core.records import PLUGINS
from gan_bench.devices import numerics
from gan_bench.devices.select import device_name
from gan_bench.training import cpu_kernels

NUMERIC_VARIABLES = (
    "MKL_CBWR",
    "MKL_ENABLE_INSTRUCTIONS",
    "ONEDNN_MAX_CPU_ISA",
    "DNNL_MAX_CPU_ISA",
    "ONEDNN_DEFAULT_FPMATH_MODE",
    "DNNL_DEFAULT_FPMATH_MODE",
    "OPENBLAS_CORETYPE",
    "NVIDIA_TF32_OVERRIDE",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
)
"""Variables with which libraries select other instructions or arithmetic."""
PACKAGES = ("torch", "torchvision", "torch-fidelity", "numpy", "scipy", "pandas", "safetensors")


def describe(device: torch.device, options: Options) -> dict[str, Any]:
    """Return the content of environment.json: versions, device, arithmetic, threads, kernels, commit, plugins."""
    cuda = device.type == "cuda"
    return {
        "gan_bench_version": __version__,
        "commit": commit(),
        "python_version": platform.python_version(),
        "platform": platform.platform(),
        "device": str(device),
        "device_name": device_name(device),
        "threads": torch.get_num_threads(),
        "cpu_kernels": cpu_kernels.active(device, options.cpu_kernels),
        "instruction_set": torch.backends.cpu.get_cpu_capability(),
        "blas": blas(),
        "numeric_settings": numeric_settings(),
        "deterministic": numerics.is_deterministic(),
        "eval_every": options.eval_every,
        "cuda_version": torch.version.cuda if cuda else None,
        "cudnn_version": torch.backends.cudnn.version() if cuda else None,  # type: ignore[no-untyped-call]
        PLUGINS: [file.name for file in options.plugins],
        **{f"{name.replace('-', '_')}_version": version_of(name) for name in PACKAGES},
    }


def blas() -> str:
    """Return the libraries of PyTorch's linear algebra on a CPU, with their versions."""
    found = re.findall(r"(?:Math Kernel Library|MKL-DNN|OpenBLAS) (?:Version )?v?[\d.]+", torch.__config__.show())
    chosen = re.search(r"BLAS_INFO=(\w+)", torch.__config__.show())
    names = [name.replace("Math Kernel Library Version", "MKL").replace("MKL-DNN v", "oneDNN ") for name in found]
    return ", ".join(names or ([chosen[1]] if chosen else []))


def numeric_settings() -> str:
    """Return the settings of PyTorch and of its libraries that select other arithmetic, those that are set."""
    chosen = [f"{name}={value[:40]}" for name in NUMERIC_VARIABLES if (value := os.environ.get(name))]
    if torch.get_float32_matmul_precision() != "highest":
        chosen.append(f"float32_matmul_precision={torch.get_float32_matmul_precision()}")
    return " ".join(chosen)


def version_of(package: str) -> str:
    """Return the installed version of a package; empty if it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def commit() -> str:
    """Return the commit of the source tree; empty outside a checkout.

    With uncommitted changes, + and the hash of the package's source files follow.
    """
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return ""
    try:
        asked = ["git", "-C", str(root), "describe", "--always", "--dirty=+", "--exclude=*", "--abbrev=12"]
        found = subprocess.run(asked, capture_output=True, text=True, timeout=5, check=True).stdout.strip()
        return f"{found}{_package_sha256()[:8]}" if found.endswith("+") else found
    except (OSError, subprocess.SubprocessError):
        return ""


@functools.cache
def _package_sha256() -> str:
    """Return the hash of the package's source files, as they are when first asked for."""
    digest = hashlib.sha256()
    for file in sorted(Path(__file__).resolve().parents[1].rglob("*.py")):
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()
