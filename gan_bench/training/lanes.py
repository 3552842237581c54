"""The only place that knows lanes: a forward of one network, lifted to stacked parameters."""

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
    called as it is for a single lane. Neither way do lanes share anything, so the gradient of the sum of the
    lanes' losses is every lane's gradient. BatchNorm's running statistics are updated in place in the buffers
    handed in. `module` holds structure only, and is changed.
    """

    def __init__(self, module: nn.Module, device: torch.device) -> None:
        self.module = module
        # what is counted on the meta device goes through the layers as their users know them
        self._stacked = device.type != "meta" and layers.stack_(module, device)
        self.compile(False)

    def compile(self, on: bool) -> None:
        """Let torch.compile fuse the layers at the next calls, or no longer."""
        lifted: Forward = vmap(self._forward, in_dims=(0, 0), randomness="error")
        if on:
            torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, RECOMPILE_LIMIT)
        self._one, self._lifted = (
            torch.compile(each, dynamic=False) if on else each for each in (self._forward, lifted)
        )

    def __call__(self, tensors: dict[str, Tensor], inputs: Tensor) -> Tensor:
        """Return the outputs [lanes, B, ...]."""
        if self._stacked:
            return self._one(tensors, inputs)
        if inputs.shape[0] == 1:
            # squeeze and unsqueeze are views in both directions, so that a single run pays nothing for its axis
            return self._one(
                {name: value.squeeze(0) for name, value in tensors.items()}, inputs.squeeze(0)
            ).unsqueeze(0)
        return self._lifted(tensors, inputs)

    def _forward(self, tensors: dict[str, Tensor], inputs: Tensor) -> Tensor:
        outputs: Tensor = functional_call(self.module, tensors, (inputs,))
        return outputs
