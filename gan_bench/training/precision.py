"""fp32, tf32 and bf16, made explicit: parameters are kept in fp32 and cast where they are used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from gan_bench.spec import Precision


def compute_dtype(precision: Precision, storage: torch.dtype) -> torch.dtype:
    """Return the type that activations and weights are computed in; `storage` is the parameters' own."""
    return torch.bfloat16 if precision == "bf16" else storage


def set_matmul(precision: Precision) -> None:
    """Let fp32 products use tf32 on GPUs, or forbid it; on a CPU this changes nothing."""
    allowed = precision == "tf32"
    torch.backends.cuda.matmul.allow_tf32 = allowed
    torch.backends.cudnn.allow_tf32 = allowed


def cast(params: Mapping[str, Tensor], keep: set[str], dtype: torch.dtype) -> dict[str, Tensor]:
    """Return the parameters in `dtype`, those named in `keep` (BatchNorm's) as they are; not differentiable."""
    moved = [name for name, value in params.items() if name not in keep and value.dtype != dtype]
    return {**params, **dict(zip(moved, copied([params[name] for name in moved], dtype), strict=True))}


def copied(values: Sequence[Tensor], dtype: torch.dtype) -> list[Tensor]:
    """Return copies in `dtype`, laid out as the values are: on a GPU, one kernel makes all of one type."""
    copies = [torch.empty_like(each, dtype=dtype) for each in values]
    if copies:
        torch._foreach_copy_(copies, list(values))
    return copies
