"""Numerics of a device: deterministic algorithms and full precision."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import torch

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
"""Required by deterministic matrix products; CUDA reads it once, before the first product."""


def use_deterministic_algorithms() -> None:
    """Use deterministic algorithms on a GPU in this process, which are slower; call it before the GPU is used.

    Operations without a deterministic algorithm raise RuntimeError.
    """
    torch.backends.cudnn.benchmark = False
    torch.use_deterministic_algorithms(True)
    # PyTorch would also fill every tensor that it allocates; no tensor is read here before it is written
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def is_deterministic() -> bool:
    """Return whether deterministic algorithms are enabled."""
    return torch.are_deterministic_algorithms_enabled()


@contextlib.contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Compute in fp32 within the block, whatever the precision of training: no tf32, no autocast."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    matmul.allow_tf32 = cudnn.allow_tf32 = False
    try:
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = before
