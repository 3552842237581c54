"""BatchedNet: the forward of one network on several lanes, with stacked parameters and inputs."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from gan_bench.training.cpu_kernels import CPUKernels
from gan_bench.training.lanes import batched_layers
from gan_bench.training.state import NORMALIZED, dropouts, parameter_names

Inputs: TypeAlias = tuple[Tensor, ...]
Forward: TypeAlias = Callable[[dict[str, Tensor], Inputs], Tensor]
RECOMPILE_LIMIT = 64
"""torch.compile counts every net, and every use of it, as a program of its own; its default limit is 8."""


class BatchedNet:
    """Call a module with stacked parameters and buffers [lanes, ...] on inputs [lanes, B, ...].

    A network of a conditional model has two inputs: noise or images, and labels [lanes, B].

    A net of known layers uses batched layers (see batched_layers.py); a net whose convolutions all run lane after
    lane does so as a whole, since one lane's activations are then used while they are in the caches. Any other
    module is called unchanged for one lane; for several it is lifted by vmap, or called lane by lane where vmap
    fails (see `choose_lifting`).

    Lanes are independent: the gradient of the sum of their losses is every lane's gradient. Buffers are updated in
    place, as the module does it (BatchNorm's running statistics, spectral norm's vectors). `module` holds
    structure only.

    With inputs in bf16, parameters are in bf16 too, except those in `full_precision_names`: BatchNorm's of batched
    layers, and all of another module, which is called under torch.autocast.
    """

    def __init__(self, module: nn.Module, device: torch.device, cpu_kernels: CPUKernels = "auto") -> None:
        # the meta device counts FLOPs, which needs PyTorch's own layers
        batched = None if device.type == "meta" else batched_layers.batch_layers(module, device, cpu_kernels)
        self.module = module if batched is None else batched
        self._has_batched_layers = batched is not None
        self._lane_by_lane = False
        names = {name for name, _ in module.named_parameters()}
        self.full_precision_names = names if batched is None else parameter_names(module, NORMALIZED)
        self._counters = [name for name, _ in module.named_buffers() if name.endswith("num_batches_tracked")]
        self._convolutions = [
            layer for layer in self.module.modules() if isinstance(layer, batched_layers.Convolution)
        ]
        self._tied = len([*module.named_parameters()]) < len([*module.named_parameters(remove_duplicate=False)])
        self._lift: Forward = vmap(self._forward, in_dims=(0, 0), randomness="error")
        self.compile(False)

    def compile(self, on: bool) -> None:
        """Switch torch.compile on or off, from the next call on."""
        if on:
            torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, RECOMPILE_LIMIT)
        self._one, self._lifted = (
            torch.compile(forward, dynamic=False) if on else forward for forward in (self._forward, self._lift)
        )

    def __call__(self, tensors: dict[str, Tensor], *inputs: Tensor) -> Tensor:
        """Return the outputs [lanes, B, ...]."""
        return self._call(self._one, self._lifted, tensors, inputs)

    def plain(self, tensors: dict[str, Tensor], *inputs: Tensor) -> Tensor:
        """Return the outputs [lanes, B, ...] without torch.compile.

        It would compile again for every batch size, and has no second derivatives.
        """
        return self._call(self._forward, self._lift, tensors, inputs)

    @torch.no_grad()
    def choose_lifting(
        self, tensors: dict[str, Tensor], shape: tuple[int, ...], dtype: torch.dtype, n_classes: int = 0
    ) -> None:
        """Choose between vmap and lane by lane for a net without batched layers, by one trial on copies.

        `shape` is that of one lane's inputs [B, ...]; labels of `n_classes` follow where there are any. vmap fails
        for modules with `out=` (spectral norm's power iteration) or data-dependent control flow. It is used if it
        gives the outputs and the buffers of the lane-by-lane call.
        """
        if self._has_batched_layers:
            return
        first = next(iter(tensors.values()))
        lanes, device = len(first), first.device
        values = torch.linspace(-1, 1, lanes * math.prod(shape), dtype=dtype, device=device).view(lanes, *shape)
        inputs: Inputs = (values,)
        if n_classes:
            inputs += (torch.arange(lanes * shape[0], device=device).view(lanes, -1) % n_classes,)
        masks = {
            f"{name}.mask": torch.ones(lanes, shape[0], *layer.features, dtype=dtype, device=device)
            for name, layer in dropouts(self.module)
        }
        expected, found = ({name: value.clone() for name, value in tensors.items()} for _ in range(2))
        outputs = _lane_by_lane(self._forward, {**expected, **masks}, inputs)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # vmap warns where it falls back to a slow loop of its own
                lifted = self._lift({**found, **masks}, inputs)
            pairs = [(outputs, lifted), *((expected[name], value) for name, value in found.items())]
            self._lane_by_lane = not all(torch.allclose(one, other, 1e-3, 1e-5) for one, other in pairs)
        except Exception:
            self._lane_by_lane = True

    def _call(self, one: Forward, lifted: Forward, tensors: dict[str, Tensor], inputs: Inputs) -> Tensor:
        lanes = len(inputs[0])
        if self._has_batched_layers:
            if self.module.training and self._counters:  # all layers at once: one kernel on a GPU
                torch._foreach_add_([tensors[name] for name in self._counters], 1)
            apart = self._convolutions and all(layer.algorithm == "per_lane" for layer in self._convolutions)
            return _split_lanes(one, tensors, inputs) if apart and lanes > 1 else one(tensors, inputs)
        if lanes == 1:
            # squeeze and unsqueeze are views in both directions: the lane axis costs a single run nothing
            single = {name: value.squeeze(0) for name, value in tensors.items()}
            return one(single, tuple(value.squeeze(0) for value in inputs)).unsqueeze(0)
        return _lane_by_lane(one, tensors, inputs) if self._lane_by_lane else lifted(tensors, inputs)

    def _forward(self, tensors: dict[str, Tensor], inputs: Inputs) -> Tensor:
        if not self._has_batched_layers and inputs[0].dtype == torch.bfloat16:
            with torch.autocast(inputs[0].device.type, torch.bfloat16, cache_enabled=False):
                return self._called(tensors, inputs)
        return self._called(tensors, inputs)

    def _called(self, tensors: dict[str, Tensor], inputs: Inputs) -> Tensor:
        outputs: Tensor = functional_call(self.module, tensors, inputs, tie_weights=self._tied)
        return outputs


def _split_lanes(one: Forward, tensors: dict[str, Tensor], inputs: Inputs) -> Tensor:
    """Return the outputs of a net of batched layers, called with one lane at a time."""
    parts = {name: torch.split(value, 1) for name, value in tensors.items()}  # their gradients are joined once
    lanes = enumerate(zip(*(torch.split(value, 1) for value in inputs), strict=True))
    return torch.cat([one({name: part[i] for name, part in parts.items()}, own) for i, own in lanes])


def _lane_by_lane(one: Forward, tensors: dict[str, Tensor], inputs: Inputs) -> Tensor:
    """Return the outputs of a plain module, called with one lane at a time."""
    # a buffer is indexed, because PyTorch forbids in-place updates of the views that unbind returns
    parts = {name: value.unbind() if value.requires_grad else value for name, value in tensors.items()}
    lanes = enumerate(zip(*inputs, strict=True))
    return torch.stack([one({name: part[i] for name, part in parts.items()}, own) for i, own in lanes])
