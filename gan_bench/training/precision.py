"""fp32, tf32 and bf16, made explicit: parameters are kept in fp32 and cast where they are used."""

from __future__ import annotations

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


def cast(params: dict[str, Tensor], keep: set[str], dtype: torch.dtype) -> dict[str, Tensor]:
    """Return the parameters in `dtype`, those named in `keep` (BatchNorm's) as they are; differentiable."""
    return {
        name: value if name in keep or value.dtype == dtype else value.to(dtype) for name, value in params.items()
    }
