"""Linear layers by oneDNN and memory layouts for CPUs, with the rule and the switch that select them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional as F

from gan_bench.devices import select

CPUKernels: TypeAlias = Literal["auto", "pytorch"]
"""`auto`: oneDNN's linear layers where they are faster; `pytorch`: PyTorch's defaults."""


def active(device: torch.device, choice: CPUKernels) -> Literal["onednn", "pytorch"]:
    """Return the linear layers used on `device`."""
    return "onednn" if choice == "auto" and device.type == "cpu" and onednn_is_faster() else "pytorch"


def onednn_is_faster() -> bool:
    """Return whether oneDNN multiplies fp32 matrices on this CPU faster than `torch.mm`, which uses MKL.

    MKL reserves its widest vector instructions for Intel's processors; on an AMD processor with AVX-512, oneDNN
    was measured at more than twice its speed (benchmarks/step_time.py shows both peaks). A fixed rule, not a
    measurement at start, because a resumed run must compute as before.
    """
    return (
        torch._C.has_mkl
        and torch._C._has_mkldnn
        and select.cpu_vendor() not in ("", "GenuineIntel")
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    )


def linear(x: Tensor, weight: Tensor, bias: Tensor | None, *, by_onednn: bool) -> Tensor:
    """Return x [lanes, B, in] @ weight [lanes, out, in].T + bias [lanes, out]; oneDNN is used for fp32 only."""
    if by_onednn and x.dtype == torch.float32 and not torch.compiler.is_compiling():
        product: Tensor = OneDNNLinear.apply(x, weight, bias)
        return product
    if x.shape[0] == 1:
        return each_lane(F.linear, x, weight, bias)
    if bias is None:
        return torch.bmm(x, weight.transpose(1, 2))
    return torch.baddbmm(bias.unsqueeze(1), x, weight.transpose(1, 2))


class OneDNNLinear(Function):
    """A linear layer of every lane by oneDNN; gradients are such products too, and differentiable again."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Return [lanes, B, out]."""
        ctx.save_for_backward(x, weight)
        return _products(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """Return the gradients of x, weight and bias that are needed."""
        x, weight = ctx.saved_tensors
        for_x, for_weight, for_bias = ctx.needs_input_grad
        # with create_graph=True grad mode is on here, and the products must be recorded
        product = _differentiable_products if torch.is_grad_enabled() else _products
        return (
            product(gradient, weight.transpose(1, 2)) if for_x else None,
            product(gradient.transpose(1, 2), x.transpose(1, 2)) if for_weight else None,
            gradient.sum(1) if for_bias else None,
        )


def _differentiable_products(x: Tensor, weight: Tensor) -> Tensor:
    product: Tensor = OneDNNLinear.apply(x, weight, None)
    return product


def _products(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return x [lanes, M, K] @ weight [lanes, N, K].T + bias [lanes, N], lane after lane on all cores."""
    return each_lane(_onednn_linear, x, weight, bias)


def _onednn_linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    product: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return product


def each_lane(function: Callable[..., Tensor], x: Tensor, *tensors: Tensor | None) -> Tensor:
    """Return function(x, *tensors) of each lane, stacked; one lane costs no copy."""
    if x.shape[0] == 1:
        # squeeze and unsqueeze are views in both directions
        return function(x.squeeze(0), *(None if t is None else t.squeeze(0) for t in tensors)).unsqueeze(0)
    return _stack([function(x[i], *(None if t is None else t[i] for t in tensors)) for i in range(x.shape[0])])


def _stack(lanes: Sequence[Tensor]) -> Tensor:
    """Return the lanes stacked; channels that are innermost stay innermost."""
    if lanes[0].dim() != 4:
        return torch.stack(list(lanes))
    return torch.stack([lane.movedim(1, -1) for lane in lanes]).movedim(-1, 2)


def channels_last(x: Tensor) -> Tensor:
    """Return images [lanes, B, C, H, W] with channels innermost in memory; other tensors unchanged."""
    if x.dim() != 5:
        return x
    laid_out: Tensor = ChannelsLast.apply(x)
    return laid_out


class ChannelsLast(Function):
    """Lay out images, and their gradients in the backward pass, with channels innermost.

    Convolutions are fastest in this layout. A whole net uses it: elementwise operations on two layouts are slow.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """Return x [lanes, B, C, H, W]."""
        batch, channels, height, width = x.shape[1:]
        if channels > 1:
            return x.movedim(2, 4).contiguous().movedim(4, 2)
        # with one channel both layouts are equal in memory, and PyTorch decides by the strides: set them
        pixels = height * width
        return x.contiguous().as_strided(x.shape, (batch * pixels, pixels, 1, width, 1))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        """Return the gradient [lanes, B, C, H, W]; differentiable, as it is the same operation."""
        return channels_last(gradient)
