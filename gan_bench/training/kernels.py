"""Matrix products and memory layouts of the hot path, as PyTorch has them and as it doesn't offer them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional as F

from gan_bench import environment


def onednn_wins() -> bool:
    """Return whether oneDNN multiplies fp32 matrices on this CPU faster than `torch.mm`, which leaves them to MKL.

    MKL keeps its widest vector instructions for Intel's processors; on one of AMD's with AVX-512, oneDNN was
    measured at more than twice its speed (benchmarks/step_time.py shows both peaks). A rule and not a measurement
    at start: a run that is resumed must compute as it did before.
    """
    return (
        torch._C.has_mkl
        and torch._C._has_mkldnn
        and environment.cpu_vendor() not in ("", "GenuineIntel")
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    )


def linear(x: Tensor, weight: Tensor, bias: Tensor | None, *, by_onednn: bool) -> Tensor:
    """Return x [lanes, B, in] @ weight [lanes, out, in].T + bias [lanes, out]; only fp32 is oneDNN's."""
    if by_onednn and x.dtype == torch.float32 and not torch.compiler.is_compiling():
        product: Tensor = OneDNNLinear.apply(x, weight, bias)
        return product
    if x.shape[0] == 1:
        alone = F.linear(x.squeeze(0), weight.squeeze(0), None if bias is None else bias.squeeze(0))
        return alone.unsqueeze(0)
    if bias is None:
        return torch.bmm(x, weight.transpose(1, 2))
    return torch.baddbmm(bias.unsqueeze(1), x, weight.transpose(1, 2))


class OneDNNLinear(Function):
    """A linear layer of every lane by oneDNN, whose gradients are such products again; one derivative only."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Return [lanes, B, out]."""
        ctx.save_for_backward(x, weight)
        return _products(x, weight, bias)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """Return the gradients of x, weight and bias that are asked for."""
        x, weight = ctx.saved_tensors
        for_x, for_weight, for_bias = ctx.needs_input_grad
        return (
            _products(gradient, weight.transpose(1, 2)) if for_x else None,
            _products(gradient.transpose(1, 2), x.transpose(1, 2)) if for_weight else None,
            gradient.sum(1) if for_bias else None,
        )


def _products(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return x [lanes, M, K] @ weight [lanes, N, K].T + bias [lanes, N], one lane after the other on all cores."""
    product = torch.ops.mkldnn._linear_pointwise
    lanes = [
        product(x[lane], weight[lane], None if bias is None else bias[lane], "none", [], "")
        for lane in range(len(x))
    ]
    return lanes[0].unsqueeze(0) if len(lanes) == 1 else torch.stack(lanes)


def channels_last(x: Tensor) -> Tensor:
    """Return images [lanes, B, C, H, W] with channels innermost in memory; anything else as it is."""
    if x.dim() != 5:
        return x
    laid_out: Tensor = ChannelsLast.apply(x)
    return laid_out


class ChannelsLast(Function):
    """The same images, and on the way back their gradient, laid out with channels innermost.

    Convolutions are fastest so, and elementwise work on two layouts at once is slow: all of a net has this one.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """Return x [lanes, B, C, H, W]."""
        batch, channels, height, width = x.shape[1:]
        if channels > 1:
            return x.movedim(2, 4).contiguous().movedim(4, 2)
        # one channel lies the same in both layouts, and PyTorch goes by the strides: say which is meant
        image = height * width
        return x.contiguous().as_strided(x.shape, (batch * image, image, 1, width, 1))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        """Return the gradient [lanes, B, C, H, W]."""
        return channels_last(gradient)
