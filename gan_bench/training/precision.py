"""Precision of training: fp32, tf32 or bf16; parameters are kept in fp32 and cast where they are used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from gan_bench.core.frozen import Precision


def compute_dtype(precision: Precision, storage: torch.dtype) -> torch.dtype:
    """Return the dtype of the forward and backward pass; `storage` is the dtype of the parameters."""
    return torch.bfloat16 if precision == "bf16" else storage


def set_matmul(precision: Precision) -> None:
    """Allow or forbid tf32 in fp32 products on GPUs; no effect on a CPU."""
    allowed = precision == "tf32"
    torch.backends.cuda.matmul.allow_tf32 = allowed
    torch.backends.cudnn.allow_tf32 = allowed


def cast(params: Mapping[str, Tensor], keep: set[str], dtype: torch.dtype) -> dict[str, Tensor]:
    """Return the parameters in `dtype`, except those in `keep` (BatchNorm's); not differentiable."""
    moved = [name for name, value in params.items() if name not in keep and value.dtype != dtype]
    return {**params, **dict(zip(moved, copied([params[name] for name in moved], dtype), strict=True))}


def copied(values: Sequence[Tensor], dtype: torch.dtype) -> list[Tensor]:
    """Return copies in `dtype` with the layout of the values; on a GPU, one kernel copies all of one dtype."""
    copies = [torch.empty_like(value, dtype=dtype) for value in values]
    if copies:
        torch._foreach_copy_(copies, list(values))
    return copies
