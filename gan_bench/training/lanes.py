"""The only place that knows lanes: a forward of one network, lifted to stacked parameters."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from gan_bench.training import layers


class Lanes:
    """Call a module with stacked parameters and buffers [lanes, ...] on inputs [lanes, B, ...].

    A net of the usual layers is given layers with a lane axis (see layers.py); any other is lifted by vmap, and is
    called as it is for a single lane. Neither way do lanes share anything, so the gradient of the sum of the lanes' losses is
    every lane's gradient. BatchNorm's running statistics are updated in place in the buffers handed in.
    `module` holds structure only, and is changed.
    """

    def __init__(self, module: nn.Module, device: torch.device) -> None:
        self.module = module
        # what is counted on the meta device goes through the layers as their users know them
        self._stacked = device.type != "meta" and layers.stack_(module, device)
        self._lifted = vmap(self._one, in_dims=(0, 0), randomness="error")

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

    def _one(self, tensors: dict[str, Tensor], inputs: Tensor) -> Tensor:
        outputs: Tensor = functional_call(self.module, tensors, (inputs,))
        return outputs
