"""A forward of one network, lifted from one run to several lanes: stacked parameters, stacked inputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from gan_bench.training import layers

Forward: TypeAlias = Callable[[dict[str, Tensor], Tensor], Tensor]
RECOMPILE_LIMIT = 64
"""Every net, and every use of it, is a program of its own to torch.compile, which by default gives up after 8."""


class Lanes:
    """Call a module with stacked parameters and buffers [lanes, ...] on inputs [lanes, B, ...].

    A net of the usual layers is given layers with a lane axis (see layers.py); any other is lifted by vmap, and is
    called as it is for a single lane. A net whose convolutions all go lane after lane does so as a whole: what one
    lane has left in the caches is used up before the next one's turn. In no way do lanes share anything, so the
    gradient of the sum of the lanes' losses is every lane's gradient. BatchNorm's running statistics are updated
    in place in the buffers handed in. `module` holds structure only, and is changed.
    """

    def __init__(self, module: nn.Module, device: torch.device) -> None:
        self.module = module
        # what is counted on the meta device goes through the layers as their users know them
        self._stacked = device.type != "meta" and layers.stack_(module, device)
        self._counters = [name for name, _ in module.named_buffers() if name.endswith("num_batches_tracked")]
        self._convolutions = [each for each in module.modules() if isinstance(each, layers.Convolution)]
        self._tied = len([*module.named_parameters()]) < len([*module.named_parameters(remove_duplicate=False)])
        self._lift: Forward = vmap(self._forward, in_dims=(0, 0), randomness="error")
        self.compile(False)

    def compile(self, on: bool) -> None:
        """Let torch.compile fuse the layers at the next calls, or no longer."""
        if on:
            torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, RECOMPILE_LIMIT)
        self._one, self._lifted = (
            torch.compile(each, dynamic=False) if on else each for each in (self._forward, self._lift)
        )

    def __call__(self, tensors: dict[str, Tensor], inputs: Tensor) -> Tensor:
        """Return the outputs [lanes, B, ...]."""
        return self._call(self._one, self._lifted, tensors, inputs)

    def plain(self, tensors: dict[str, Tensor], inputs: Tensor) -> Tensor:
        """Return the outputs [lanes, B, ...] without the compiler, which would begin anew for another batch."""
        return self._call(self._forward, self._lift, tensors, inputs)

    def _call(self, one: Forward, lifted: Forward, tensors: dict[str, Tensor], inputs: Tensor) -> Tensor:
        if self._stacked:
            if self.module.training and self._counters:  # every layer's at once: one kernel on a GPU
                torch._foreach_add_([tensors[name] for name in self._counters], 1)
            apart = self._convolutions and all(each.way == "each" for each in self._convolutions)
            return _lane_after_lane(one, tensors, inputs) if apart and len(inputs) > 1 else one(tensors, inputs)
        if inputs.shape[0] == 1:
            # squeeze and unsqueeze are views in both directions, so that a single run pays nothing for its axis
            alone = {name: value.squeeze(0) for name, value in tensors.items()}
            return one(alone, inputs.squeeze(0)).unsqueeze(0)
        return lifted(tensors, inputs)

    def _forward(self, tensors: dict[str, Tensor], inputs: Tensor) -> Tensor:
        outputs: Tensor = functional_call(self.module, tensors, (inputs,), tie_weights=self._tied)
        return outputs


def _lane_after_lane(one: Forward, tensors: dict[str, Tensor], inputs: Tensor) -> Tensor:
    parts = {name: torch.split(value, 1) for name, value in tensors.items()}  # their gradients are joined once
    lanes = enumerate(torch.split(inputs, 1))
    return torch.cat([one({name: part[i] for name, part in parts.items()}, x) for i, x in lanes])
