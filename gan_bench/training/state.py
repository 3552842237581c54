"""A group's tensors: parameters, buffers and moments of both networks, each stacked on a leading lane axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from gan_bench.models.dropout import Dropout
from gan_bench.training import streams

Tensors = dict[str, Tensor]
INIT_STD = 0.02
"""DCGAN's: weights N(0, 0.02), BatchNorm scales N(1, 0.02) (arXiv 1511.06434 and its authors' code)."""
PARTS = ("params", "buffers", "exp_avg", "exp_avg_sq")


@dataclass
class NetState:
    """One network of every lane: each tensor is [lanes, ...]."""

    params: Tensors
    buffers: Tensors
    exp_avg: Tensors = field(default_factory=dict)
    exp_avg_sq: Tensors = field(default_factory=dict)

    def __post_init__(self) -> None:
        for moments in (self.exp_avg, self.exp_avg_sq):
            for name, value in self.params.items():
                moments.setdefault(name, torch.zeros_like(value))

    def lane(self, index: int) -> Tensors:
        """Return one lane's tensors under flat names such as `params.0.weight`; views, not copies."""
        return {f"{part}.{name}": value[index] for part in PARTS for name, value in getattr(self, part).items()}

    def load_lane_(self, index: int, tensors: Mapping[str, Tensor]) -> None:
        """Copy into one lane what `lane` returned."""
        for name, value in self.lane(index).items():
            value.copy_(tensors[name])


def initial(
    module: nn.Module, seeds: Sequence[int], net: str, scheme: str, device: torch.device, dtype: torch.dtype
) -> NetState:
    """Return freshly initialised tensors for each seed, stacked; `module` gives names and shapes only.

    `scheme` is the recipe's `init`; BatchNorm scales are N(1, 0.02) and biases 0 in either.
    """
    lanes = [_one_lane(module, streams.generator(seed, f"init-{net}", device), scheme, dtype) for seed in seeds]
    params, buffers = zip(*lanes, strict=True)
    stacked = _stack(params)
    if len(seeds) == 1 or device.type == "cpu":  # for a GPU's grouped ones nothing was measured
        stacked = {name: _channels_innermost(value) for name, value in stacked.items()}
    return NetState(stacked, _stack(buffers))


def _one_lane(
    module: nn.Module, source: torch.Generator, scheme: str, dtype: torch.dtype
) -> tuple[Tensors, Tensors]:
    normed = batch_norm_names(module)
    params: Tensors = {}
    for name, shape in ((name, value.shape) for name, value in module.named_parameters()):
        value = torch.zeros(shape, device=source.device, dtype=dtype)
        if name in normed and name.endswith("weight"):
            value.normal_(1.0, INIT_STD, generator=source)
        elif name.endswith("weight") and scheme == "he":
            nn.init.kaiming_normal_(value, generator=source)
        elif name.endswith("weight"):
            value.normal_(0.0, INIT_STD, generator=source)
        params[name] = value
    masks = {f"{name}.mask" for name, _ in dropouts(module)}
    buffers: Tensors = {}
    for name, template in module.named_buffers():
        if name in masks:
            continue
        kind = template.dtype if not template.is_floating_point() else dtype
        make = torch.ones if name.endswith("running_var") else torch.zeros
        buffers[name] = make(template.shape, device=source.device, dtype=kind)
    return params, buffers


def _stack(lanes: Sequence[Tensors]) -> Tensors:
    return {name: torch.stack([lane[name] for lane in lanes]) for name in lanes[0]}


def _channels_innermost(value: Tensor) -> Tensor:
    """Return a convolution's weights [lanes, out, in, k, k] laid out as its images are; anything else as it is."""
    return value.movedim(2, -1).contiguous().movedim(-1, 2) if value.dim() == 5 else value


def batch_norm_names(module: nn.Module) -> set[str]:
    """Return the names of every parameter that belongs to a normalisation layer."""
    return {
        f"{prefix}.{name}"
        for prefix, layer in module.named_modules()
        if isinstance(layer, nn.modules.batchnorm._BatchNorm)
        for name, _ in layer.named_parameters()
    }


def dropouts(module: nn.Module) -> list[tuple[str, Dropout]]:
    """Return the dropout layers that need masks, by name, in the order of definition."""
    return [(name, layer) for name, layer in module.named_modules() if isinstance(layer, Dropout) and layer.p > 0]
