"""Which way each convolution of several lanes is computed: timed on the device, layer by layer."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Size, Tensor, nn
from torch.func import functional_call

from gan_bench.training.clock import Clock
from gan_bench.training.kernels import channels_last
from gan_bench.training.layers import WAYS, Convolution, Way

REPEATS = 5
CALLS = 3


@dataclass(frozen=True)
class Timing:
    """Seconds of a layer's forward and backward pass in each way that could be had."""

    layer: str
    shape: Size
    seconds: Mapping[Way, float]

    @property
    def fastest(self) -> Way:
        """The way that took the least time; lane after lane, where none could be had."""
        return min(self.seconds, key=lambda way: self.seconds[way], default="each")


@contextmanager
def seen_shapes(module: nn.Module) -> Iterator[dict[str, Size]]:
    """Collect the input shape of every convolution that is called inside, by layer name."""
    shapes: dict[str, Size] = {}

    def hook(name: str) -> object:
        def keep(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            shapes[name] = inputs[0].shape

        return keep

    handles = [
        layer.register_forward_pre_hook(hook(name))  # type: ignore[arg-type]
        for name, layer in module.named_modules()
        if isinstance(layer, Convolution)
    ]
    try:
        yield shapes
    finally:
        for handle in handles:
            handle.remove()


def time_ways(
    module: nn.Module, shapes: Mapping[str, Size], dtype: torch.dtype, device: torch.device
) -> list[Timing]:
    """Time every convolution of a stacked net on random inputs of the shapes given; nothing is changed."""
    return [_time(name, module.get_submodule(name), shape, dtype, device) for name, shape in shapes.items()]


def choose_(module: nn.Module, timings: list[Timing]) -> None:
    """Let every layer that was timed go its fastest way."""
    for timing in timings:
        layer = module.get_submodule(timing.layer)
        assert isinstance(layer, Convolution)
        layer.way = timing.fastest


def _time(name: str, layer: nn.Module, shape: Size, dtype: torch.dtype, device: torch.device) -> Timing:
    assert isinstance(layer, Convolution)
    before = layer.way
    seconds: dict[Way, float] = {}
    x = channels_last(torch.randn(shape, dtype=dtype, device=device)).requires_grad_()
    tensors = {
        own: torch.randn(shape[0], *value.shape, dtype=dtype, device=device).requires_grad_()
        for own, value in layer.named_parameters()
    }
    try:
        for way in WAYS:
            layer.way = way
            try:
                seconds[way] = _pass(layer, tensors, x, device)
            except RuntimeError:  # out of memory, or no such kernel for the type
                continue
    finally:
        layer.way = before
    return Timing(name, shape, seconds)


def _pass(layer: nn.Module, tensors: dict[str, Tensor], x: Tensor, device: torch.device) -> float:
    def once() -> None:
        y = functional_call(layer, tensors, (x,))
        torch.autograd.grad(y, [x, *tensors.values()], torch.ones_like(y))

    once()
    times = []
    for _ in range(REPEATS):
        clock = Clock(device)
        clock.start()
        for _ in range(CALLS):
            once()
        times.append(clock.stop() / CALLS)
    return statistics.median(times)
