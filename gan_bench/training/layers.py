"""Layers that take a leading lane axis: the usual ones, each computed in the way that is fastest on its device.

A net of these is called with stacked parameters [lanes, ...] on inputs [lanes, B, ...]; a single run is one
lane. They compute what the layers that they replace compute for each lane; only how differs. The ways of a
convolution:

- one lane: the library's own, with channels innermost ("channels last")
- `each`: lane after lane in that manner, as a net of such convolutions goes on the whole (see lanes.py)
- `grouped`: lanes side by side in the channels, as one grouped convolution
- `gemm`: patches laid out as the rows of a matrix (im2col), and one batched matrix product
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gan_bench.models.dropout import Dropout
from gan_bench.training.kernels import channels_last, linear, onednn_wins

Way: TypeAlias = Literal["each", "grouped", "gemm"]
WAYS: tuple[Way, ...] = ("each", "grouped", "gemm")

ELEMENTWISE = (nn.LeakyReLU, nn.ReLU, nn.Tanh, nn.Sigmoid, nn.Identity, Dropout)
"""Layers that don't look at axes: they take lanes as they are."""


def stack_(module: nn.Module, device: torch.device) -> bool:
    """Give every layer of a net its lane axis; return whether that was possible, else leave the net alone.

    `module` holds structure only. It is possible for an `nn.Sequential` of the layers in STACKED and ELEMENTWISE.
    """
    inner = [layer for layer in module.modules() if type(layer) is not nn.Sequential]
    if type(module) is not nn.Sequential or not all(_known(layer) for layer in inner):
        return False
    for layer in inner:
        if type(layer) in STACKED:
            layer.__class__ = STACKED[type(layer)]
        if isinstance(layer, Linear):
            layer.by_onednn = device.type == "cpu" and onednn_wins()
        if isinstance(layer, Convolution | BatchNorm):
            layer.way = "grouped" if device.type == "cuda" else "each"
    return True


def _known(layer: nn.Module) -> bool:
    if isinstance(layer, nn.modules.batchnorm._BatchNorm):
        return type(layer) in STACKED and layer.momentum is not None and layer.track_running_stats
    if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
        usual = layer.padding_mode == "zeros" and layer.groups == 1 and set(layer.dilation) == {1}
        return type(layer) in STACKED and usual and not isinstance(layer.padding, str)
    return type(layer) in STACKED or type(layer) in ELEMENTWISE


class Linear(nn.Linear):
    """x [lanes, B, in] @ weight [lanes, out, in].T + bias [lanes, out]."""

    by_onednn = False

    def forward(self, x: Tensor) -> Tensor:
        """Return [lanes, B, out]."""
        return linear(x, self.weight, self.bias, by_onednn=self.by_onednn)


class Convolution(nn.modules.conv._ConvNd):
    """What the two convolutions over [lanes, B, C, H, W] share."""

    way: Way = "each"

    def forward(self, x: Tensor) -> Tensor:
        """Return [lanes, B, out, H', W']."""
        if x.shape[0] == 1 or self.way == "each":
            return each_lane(self.one_lane, channels_last(x), self.weight, self.bias)
        return self.grouped(x) if self.way == "grouped" else self.gemm(x)

    def one_lane(self, x: Tensor, weight: Tensor, bias: Tensor | None, groups: int = 1) -> Tensor:
        """Return the library's own convolution of one lane [B, C, H, W], or of so many groups of channels."""
        raise NotImplementedError

    def grouped(self, x: Tensor) -> Tensor:
        """Return the lanes' convolutions as one with a group of channels a lane."""
        lanes = x.shape[0]
        bias = None if self.bias is None else self.bias.flatten()
        return _apart(self.one_lane(_side_by_side(x), self.weight.flatten(0, 1), bias, lanes), lanes)

    def gemm(self, x: Tensor) -> Tensor:
        """Return the lanes' convolutions as one batched matrix product."""
        raise NotImplementedError


class Conv2d(Convolution, nn.Conv2d):
    """A convolution of each lane; weight [lanes, out, in, k, k]."""

    def one_lane(self, x: Tensor, weight: Tensor, bias: Tensor | None, groups: int = 1) -> Tensor:
        """Return [B, out, H', W']."""
        return F.conv2d(x, weight, bias, self.stride, self.padding, self.dilation, self.groups * groups)

    def gemm(self, x: Tensor) -> Tensor:
        """Return [lanes, B, out, H', W'], with channels innermost."""
        (high, wide), (down, right) = self.kernel_size, self.stride
        vertical, horizontal = cast(tuple[int, int], self.padding)
        padded = F.pad(x, (horizontal, horizontal, vertical, vertical))
        windows = padded.unfold(3, high, down).unfold(4, wide, right)  # [lanes, B, C, H', W', k, k]
        lanes, batch, channels, height, width = windows.shape[:5]
        rows = windows.permute(0, 1, 3, 4, 2, 5, 6).reshape(lanes, -1, channels * high * wide)
        product = _baddbmm(self.bias, rows, self.weight.flatten(2).transpose(1, 2))
        return product.view(lanes, batch, height, width, -1).movedim(-1, 2)


class ConvTranspose2d(Convolution, nn.ConvTranspose2d):
    """A transposed convolution of each lane; weight [lanes, in, out, k, k]."""

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Return [lanes, B, out, H', W']."""
        return Convolution.forward(self, x)

    def one_lane(self, x: Tensor, weight: Tensor, bias: Tensor | None, groups: int = 1) -> Tensor:
        """Return [B, out, H', W']."""
        stride, padding, more = self.stride, cast(tuple[int, int], self.padding), self.output_padding
        return F.conv_transpose2d(x, weight, bias, stride, padding, more, self.groups * groups, self.dilation)

    def gemm(self, x: Tensor) -> Tensor:
        """Return [lanes, B, out, H', W']."""
        lanes, batch, channels, height, width = x.shape
        rows = x.movedim(2, 4).reshape(lanes, -1, channels)
        patches = torch.bmm(rows, self.weight.flatten(2)).view(lanes * batch, height * width, -1)
        padding, more = cast(tuple[int, int], self.padding), self.output_padding
        size = tuple(
            (side - 1) * self.stride[axis] - 2 * padding[axis] + self.kernel_size[axis] + more[axis]
            for axis, side in enumerate((height, width))
        )
        folded = F.fold(patches.transpose(1, 2), size, self.kernel_size, padding=padding, stride=self.stride)
        images = torch.unflatten(folded, 0, (lanes, batch))
        return images if self.bias is None else images + self.bias[:, None, :, None, None]


class BatchNorm(nn.modules.batchnorm._BatchNorm):
    """Each lane's own batch statistics, and its running ones [lanes, C] in training. `Lanes` counts batches."""

    way: Way = "each"

    def forward(self, x: Tensor) -> Tensor:
        """Return x [lanes, B, C, ...] normalised."""
        tensors = (self.running_mean, self.running_var, self.weight, self.bias)
        if x.shape[0] == 1 or self.way == "each":
            return each_lane(self._normalise, x, *tensors)
        folded = (None if each is None else each.flatten() for each in tensors)
        return _apart(self._normalise(_side_by_side(x), *folded), x.shape[0])

    def _normalise(
        self,
        x: Tensor,
        mean: Tensor | None,
        var: Tensor | None,
        weight: Tensor | None,
        bias: Tensor | None,
    ) -> Tensor:
        assert self.momentum is not None
        return F.batch_norm(x, mean, var, weight, bias, self.training, self.momentum, self.eps)


class BatchNorm1d(BatchNorm, nn.BatchNorm1d):
    """BatchNorm over [lanes, B, C]."""


class BatchNorm2d(BatchNorm, nn.BatchNorm2d):
    """BatchNorm over [lanes, B, C, H, W]."""


class Unflatten(nn.Unflatten):
    """The way from vectors [lanes, B, C * H * W] to images [lanes, B, C, H, W] with channels innermost."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the images."""
        dim = self.dim
        assert isinstance(dim, int)
        return channels_last(torch.unflatten(x, dim + 1 if dim >= 0 else dim, self.unflattened_size))


class Flatten(nn.Flatten):
    """From images [lanes, B, C, H, W] to vectors [lanes, B, C * H * W], or from [lanes, B, 1] to [lanes, B]."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the vectors."""
        start, end = (dim + 1 if dim >= 0 else dim for dim in (self.start_dim, self.end_dim))
        return channels_last(x).flatten(start, end)


STACKED: dict[type[nn.Module], type[nn.Module]] = {
    nn.Linear: Linear,
    nn.Conv2d: Conv2d,
    nn.ConvTranspose2d: ConvTranspose2d,
    nn.BatchNorm1d: BatchNorm1d,
    nn.BatchNorm2d: BatchNorm2d,
    nn.Unflatten: Unflatten,
    nn.Flatten: Flatten,
}


def each_lane(function: Callable[..., Tensor], x: Tensor, *tensors: Tensor | None) -> Tensor:
    """Return function(x, *tensors) of each lane, stacked; one lane costs no copy."""
    if x.shape[0] == 1:
        # squeeze and unsqueeze are views in both directions
        return function(x.squeeze(0), *(None if t is None else t.squeeze(0) for t in tensors)).unsqueeze(0)
    return _stack([function(x[i], *(None if t is None else t[i] for t in tensors)) for i in range(x.shape[0])])


def _stack(lanes: Sequence[Tensor]) -> Tensor:
    """Return the lanes stacked; channels that are innermost stay there."""
    if lanes[0].dim() != 4:
        return torch.stack(list(lanes))
    return torch.stack([lane.movedim(1, -1) for lane in lanes]).movedim(-1, 2)


def _side_by_side(x: Tensor) -> Tensor:
    """Return [B, lanes * C, ...] for [lanes, B, C, ...]; a view of what `_apart` returned."""
    return x.transpose(0, 1).flatten(1, 2)


def _apart(x: Tensor, lanes: int) -> Tensor:
    """Return [lanes, B, C, ...] for [B, lanes * C, ...]; a view."""
    return torch.unflatten(x, 1, (lanes, -1)).transpose(0, 1)


def _baddbmm(bias: Tensor | None, x: Tensor, weight: Tensor) -> Tensor:
    return torch.bmm(x, weight) if bias is None else torch.baddbmm(bias.unsqueeze(1), x, weight)
