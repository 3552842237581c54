"""Autotuning of the convolutions of several lanes: each algorithm is timed on the device, layer by layer."""

from __future__ import annotations

import functools
import statistics
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Size, Tensor, nn
from torch.func import functional_call

from gan_bench.training.clock import Clock
from gan_bench.training.cpu_kernels import channels_last
from gan_bench.training.lanes.batched_layers import CONV_ALGORITHMS, ConvAlgorithm, Convolution

REPEATS = 5
CALLS = 3


@dataclass(frozen=True)
class Timing:
    """Seconds of a layer's forward and backward pass, for each available algorithm."""

    layer: str
    shape: Size
    seconds: Mapping[ConvAlgorithm, float]

    @property
    def fastest(self) -> ConvAlgorithm:
        """The fastest algorithm; `per_lane` where none is available."""
        return min(self.seconds, key=lambda algorithm: self.seconds[algorithm], default="per_lane")


@contextmanager
def record_shapes(module: nn.Module) -> Iterator[dict[str, Size]]:
    """Record the input shape of every convolution called in the block, by layer name."""
    shapes: dict[str, Size] = {}

    def record(name: str, layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        shapes[name] = inputs[0].shape

    handles = [
        layer.register_forward_pre_hook(functools.partial(record, name))
        for name, layer in module.named_modules()
        if isinstance(layer, Convolution)
    ]
    try:
        yield shapes
    finally:
        for handle in handles:
            handle.remove()


def set_algorithms(module: nn.Module, timings: list[Timing]) -> None:
    """Set every timed layer to its fastest algorithm."""
    for timing in timings:
        layer = module.get_submodule(timing.layer)
        assert isinstance(layer, Convolution)
        layer.algorithm = timing.fastest


def time_layer(name: str, module: nn.Module, shape: Size, dtype: torch.dtype, device: torch.device) -> Timing:
    """Time a convolution of a batched net on random inputs of the given shape; the net is unchanged."""
    layer = module.get_submodule(name)
    assert isinstance(layer, Convolution)
    before = layer.algorithm
    seconds: dict[ConvAlgorithm, float] = {}
    x = channels_last(torch.randn(shape, dtype=dtype, device=device)).requires_grad_()
    tensors = {
        own: torch.randn(shape[0], *value.shape, dtype=dtype, device=device).requires_grad_()
        for own, value in layer.named_parameters()
    }
    try:
        for algorithm in CONV_ALGORITHMS:
            layer.algorithm = algorithm
            try:
                seconds[algorithm] = _forward_backward_seconds(layer, tensors, x, device)
            except RuntimeError:  # out of memory, or no kernel for the dtype
                continue
    finally:
        layer.algorithm = before
    return Timing(name, shape, seconds)


def _forward_backward_seconds(
    layer: nn.Module, tensors: dict[str, Tensor], x: Tensor, device: torch.device
) -> float:
    def once() -> None:
        y = functional_call(layer, tensors, (x,))
        torch.autograd.grad(y, [x, *tensors.values()], torch.ones_like(y))

    once()
    times = []
    for _ in range(REPEATS):
        clock = Clock(device)
        for _ in range(CALLS):
            once()
        times.append(clock.seconds() / CALLS)
    return statistics.median(times)
