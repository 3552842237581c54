"""The only place that knows lanes: a forward of one network, lifted to stacked parameters."""

from __future__ import annotations

from torch import Tensor, nn
from torch.func import functional_call, vmap


class Lanes:
    """Call a module with stacked parameters and buffers [lanes, ...] on inputs [lanes, B, ...].

    One lane is a plain call. BatchNorm's running statistics are updated in place in the buffers handed in.
    Gradients need no lifting of their own: lanes share nothing, so the gradient of the sum of the lanes'
    losses is every lane's gradient.
    """

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self._lifted = vmap(self._one, in_dims=(0, 0), randomness="error")

    def __call__(self, tensors: dict[str, Tensor], inputs: Tensor) -> Tensor:
        """Return the outputs [lanes, B, ...]."""
        if inputs.shape[0] == 1:
            # squeeze and unsqueeze are views in both directions, so that a single run pays nothing for its axis
            return self._one(
                {name: value.squeeze(0) for name, value in tensors.items()}, inputs.squeeze(0)
            ).unsqueeze(0)
        return self._lifted(tensors, inputs)

    def _one(self, tensors: dict[str, Tensor], inputs: Tensor) -> Tensor:
        outputs: Tensor = functional_call(self.module, tensors, (inputs,))
        return outputs
