"""Layers with a leading lane axis, each computed by the fastest algorithm on its device.

A net of these layers is called with stacked parameters [lanes, ...] on inputs [lanes, B, ...]; a single run is one
lane. For each lane they compute what the PyTorch layers that they are built from compute. Algorithms of a
convolution:

- one lane: the library's own, with channels innermost ("channels last")
- `per_lane`: lane after lane by that algorithm; a net with only such convolutions runs whole lane by lane (see
  batched_net.py)
- `grouped`: lanes side by side in the channels, as one grouped convolution
- `im2col`: patches as the rows of a matrix, and one batched matrix product
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Any, Literal, TypeAlias, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gan_bench.models.conditional import CONTAINERS, ClassEmbedding
from gan_bench.models.dropout import Dropout
from gan_bench.models.infogan28 import SigmoidImages
from gan_bench.training.cpu_kernels import CPUKernels, active, channels_last, each_lane, linear

ConvAlgorithm: TypeAlias = Literal["per_lane", "grouped", "im2col"]
CONV_ALGORITHMS: tuple[ConvAlgorithm, ...] = ("per_lane", "grouped", "im2col")

ELEMENTWISE = (
    nn.LeakyReLU,
    nn.ReLU,
    nn.Tanh,
    nn.Sigmoid,
    nn.Identity,
    Dropout,
    ClassEmbedding,
    SigmoidImages,
)
"""Layers that are independent of axes: they work on lanes unchanged."""


def batch_layers(module: nn.Module, device: torch.device, cpu_kernels: CPUKernels = "auto") -> nn.Module | None:
    """Return a copy of a net with the layers of this module, which share its parameters and buffers.

    Names of parameters and buffers are unchanged. None for anything but one of CONTAINERS with ELEMENTWISE layers
    and those with a counterpart here.
    """
    convert = _counterparts(device, cpu_kernels)
    layers = [layer for layer in module.modules() if type(layer) not in CONTAINERS]
    known = all(_is_usual(layer) if type(layer) in convert else type(layer) in ELEMENTWISE for layer in layers)
    if type(module) not in CONTAINERS or not known:
        return None
    built: dict[nn.Module, nn.Module] = {}  # a layer used twice stays one layer

    def build(layer: nn.Module) -> nn.Module:
        if layer not in built:
            if type(layer) in CONTAINERS:
                built[layer] = container = copy.copy(layer)
                children = layer._modules.items()
                container._modules = {name: build(child) for name, child in children if child is not None}
            else:
                built[layer] = convert[type(layer)](layer) if type(layer) in convert else layer
        return built[layer]

    return build(module)


def _counterparts(device: torch.device, cpu_kernels: CPUKernels) -> dict[type, Callable[[Any], nn.Module]]:
    """Return how to build the batched counterpart of each kind of layer that has one."""
    algorithm: ConvAlgorithm = "grouped" if device.type == "cuda" else "per_lane"
    return {
        nn.Linear: partial(Linear, by_onednn=active(device, cpu_kernels) == "onednn"),
        nn.Conv2d: partial(Conv2d, algorithm=algorithm),
        nn.ConvTranspose2d: partial(ConvTranspose2d, algorithm=algorithm),
        nn.BatchNorm1d: partial(BatchNorm, algorithm=algorithm),
        nn.BatchNorm2d: partial(BatchNorm, algorithm=algorithm),
        nn.Unflatten: Unflatten,
        nn.Flatten: Flatten,
    }


def _is_usual(layer: nn.Module) -> bool:
    """Return whether a layer's counterpart supports its settings."""
    if isinstance(layer, nn.modules.batchnorm._BatchNorm):
        return layer.momentum is not None and layer.track_running_stats
    if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
        usual = layer.padding_mode == "zeros" and layer.groups == 1 and set(layer.dilation) == {1}
        return usual and not isinstance(layer.padding, str)
    return isinstance(layer.dim, int) if isinstance(layer, nn.Unflatten) else True


class Linear(nn.Module):
    """x [lanes, B, in] @ weight [lanes, out, in].T + bias [lanes, out]."""

    def __init__(self, layer: nn.Linear, *, by_onednn: bool) -> None:
        super().__init__()
        self.weight, self.bias = layer.weight, layer.bias
        self.by_onednn = by_onednn

    def forward(self, x: Tensor) -> Tensor:
        """Return [lanes, B, out]."""
        return linear(x, self.weight, self.bias, by_onednn=self.by_onednn)


class Convolution(nn.Module):
    """Base of the two convolutions over [lanes, B, C, H, W]."""

    def __init__(self, layer: nn.Conv2d | nn.ConvTranspose2d, algorithm: ConvAlgorithm) -> None:
        super().__init__()
        self.weight, self.bias = layer.weight, layer.bias
        self.algorithm = algorithm
        self.kernel_size, self.stride, self.dilation = layer.kernel_size, layer.stride, layer.dilation
        self.padding = cast(tuple[int, int], layer.padding)
        self.output_padding = cast(tuple[int, int], layer.output_padding)

    def forward(self, x: Tensor) -> Tensor:
        """Return [lanes, B, out, H', W']."""
        if x.shape[0] == 1 or self.algorithm == "per_lane":
            return each_lane(self.single, channels_last(x), self.weight, self.bias)
        return self.grouped(x) if self.algorithm == "grouped" else self.im2col(x)

    def single(self, x: Tensor, weight: Tensor, bias: Tensor | None, groups: int = 1) -> Tensor:
        """Return the library's convolution of one lane [B, C, H, W], or of `groups` groups of channels."""
        raise NotImplementedError

    def grouped(self, x: Tensor) -> Tensor:
        """Return the lanes' convolutions as one with a group of channels per lane."""
        lanes = x.shape[0]
        bias = None if self.bias is None else self.bias.flatten()
        return _apart(self.single(_side_by_side(x), self.weight.flatten(0, 1), bias, lanes), lanes)

    def im2col(self, x: Tensor) -> Tensor:
        """Return the lanes' convolutions as one batched matrix product."""
        raise NotImplementedError


class Conv2d(Convolution):
    """A convolution of each lane; weight [lanes, out, in, k, k]."""

    def single(self, x: Tensor, weight: Tensor, bias: Tensor | None, groups: int = 1) -> Tensor:
        """Return [B, out, H', W']."""
        return F.conv2d(x, weight, bias, self.stride, self.padding, self.dilation, groups)

    def im2col(self, x: Tensor) -> Tensor:
        """Return [lanes, B, out, H', W'], with channels innermost."""
        (high, wide), (down, right) = self.kernel_size, self.stride
        vertical, horizontal = self.padding
        padded = F.pad(x, (horizontal, horizontal, vertical, vertical))
        windows = padded.unfold(3, high, down).unfold(4, wide, right)  # [lanes, B, C, H', W', k, k]
        lanes, batch, channels, height, width = windows.shape[:5]
        rows = windows.permute(0, 1, 3, 4, 2, 5, 6).reshape(lanes, -1, channels * high * wide)
        product = linear(rows, self.weight.flatten(2), self.bias, by_onednn=False)
        return product.view(lanes, batch, height, width, -1).movedim(-1, 2)


class ConvTranspose2d(Convolution):
    """A transposed convolution of each lane; weight [lanes, in, out, k, k]."""

    def single(self, x: Tensor, weight: Tensor, bias: Tensor | None, groups: int = 1) -> Tensor:
        """Return [B, out, H', W']."""
        stride, padding, more = self.stride, self.padding, self.output_padding
        return F.conv_transpose2d(x, weight, bias, stride, padding, more, groups, self.dilation)

    def im2col(self, x: Tensor) -> Tensor:
        """Return [lanes, B, out, H', W']."""
        lanes, batch, channels, height, width = x.shape
        rows = x.movedim(2, 4).reshape(lanes, -1, channels)
        patches = torch.bmm(rows, self.weight.flatten(2)).view(lanes * batch, height * width, -1)
        size = tuple(
            (side - 1) * self.stride[axis]
            - 2 * self.padding[axis]
            + self.kernel_size[axis]
            + self.output_padding[axis]
            for axis, side in enumerate((height, width))
        )
        folded = F.fold(patches.transpose(1, 2), size, self.kernel_size, padding=self.padding, stride=self.stride)
        images = torch.unflatten(folded, 0, (lanes, batch))
        return images if self.bias is None else images + self.bias[:, None, :, None, None]


class BatchNorm(nn.modules.batchnorm._BatchNorm):
    """BatchNorm over [lanes, B, C] or [lanes, B, C, H, W] with each lane's own statistics.

    Running statistics [lanes, C] are updated in training. BatchedNet counts batches.
    """

    def __init__(self, layer: nn.modules.batchnorm._BatchNorm, algorithm: ConvAlgorithm) -> None:
        super().__init__(layer.num_features, layer.eps, layer.momentum, layer.affine, device="meta")
        self.weight, self.bias = layer.weight, layer.bias
        for name, buffer in layer.named_buffers():
            self.register_buffer(name, buffer)
        self.algorithm = algorithm

    def forward(self, x: Tensor) -> Tensor:
        """Return x [lanes, B, C, ...] normalized."""
        tensors = (self.running_mean, self.running_var, self.weight, self.bias)
        if x.shape[0] == 1 or self.algorithm == "per_lane":
            return each_lane(self._normalize, x, *tensors)
        folded = (None if value is None else value.flatten() for value in tensors)
        return _apart(self._normalize(_side_by_side(x), *folded), x.shape[0])

    def _normalize(
        self, x: Tensor, mean: Tensor | None, var: Tensor | None, weight: Tensor | None, bias: Tensor | None
    ) -> Tensor:
        assert self.momentum is not None
        return F.batch_norm(x, mean, var, weight, bias, self.training, self.momentum, self.eps)


class Unflatten(nn.Module):
    """From vectors [lanes, B, C * H * W] to images [lanes, B, C, H, W] with channels innermost."""

    def __init__(self, layer: nn.Unflatten) -> None:
        super().__init__()
        assert isinstance(layer.dim, int)
        self.dim = layer.dim + 1 if layer.dim >= 0 else layer.dim
        self.size = layer.unflattened_size

    def forward(self, x: Tensor) -> Tensor:
        """Return the images."""
        return channels_last(torch.unflatten(x, self.dim, self.size))


class Flatten(nn.Module):
    """From images [lanes, B, C, H, W] to vectors [lanes, B, C * H * W], or from [lanes, B, 1] to [lanes, B]."""

    def __init__(self, layer: nn.Flatten) -> None:
        super().__init__()
        self.start, self.end = (dim + 1 if dim >= 0 else dim for dim in (layer.start_dim, layer.end_dim))

    def forward(self, x: Tensor) -> Tensor:
        """Return the vectors."""
        return channels_last(x).flatten(self.start, self.end)


def _side_by_side(x: Tensor) -> Tensor:
    """Return [B, lanes * C, ...] for [lanes, B, C, ...]; a view of a result of `_apart`."""
    return x.transpose(0, 1).flatten(1, 2)


def _apart(x: Tensor, lanes: int) -> Tensor:
    """Return [lanes, B, C, ...] for [B, lanes * C, ...]; a view."""
    return torch.unflatten(x, 1, (lanes, -1)).transpose(0, 1)
