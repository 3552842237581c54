"""How a step is run: eagerly, or as one CUDA graph where that is to be had and gives the same numbers."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Advance = Callable[[], None]
"""Makes one step on tensors that stay where they are; nothing of it depends on the host."""

TOLERANCE = {torch.bfloat16: 3e-2}
OTHERWISE = 1e-3
"""Relative difference of losses between two ways of a step: sums may run in another order, rounded each time."""


_failed: list[torch.cuda.CUDAGraph] = []
"""Graphs whose capture failed and could not be ended, kept: the allocator may go on asking them what is theirs."""


class Graph:
    """One step captured as a CUDA graph: hundreds of kernels launched as one.

    `generators` are those that the step draws from; the graph moves them on at every replay, as eager steps do.
    Raises RuntimeError where the step can't be captured.
    """

    def __init__(self, advance: Advance, generators: Sequence[torch.Generator], device: torch.device) -> None:
        self._graph = torch.cuda.CUDAGraph()
        if torch.torch_version.__version__ < "2.14":  # compared as versions; later ones find them, and complain
            for generator in generators:
                self._graph.register_generator_state(generator)
        torch.cuda.synchronize(device)
        gc.collect()
        stream, pool = torch.cuda.current_stream(device), torch.cuda.graph_pool_handle()
        try:
            with torch.cuda.device(device), torch.cuda.graph(self._graph, pool=pool):
                advance()
        except BaseException:
            # a capture that was cut off leaves the thread on its stream, and generators that can't draw any more
            self._give_back(stream.device_index, pool)
            torch.cuda.set_stream(stream)
            for each in (*generators, torch.cuda.default_generators[stream.device_index]):
                fresh = torch.Generator(stream.device)
                fresh.set_state(each.get_state())
                each.graphsafe_set_state(fresh)
            raise

    def _give_back(self, device: int, pool: tuple[int, int]) -> None:
        """End a failed capture's hold on memory, for versions of PyTorch that don't (2.11; 2.15 does)."""
        try:
            torch._C._cuda_endAllocateToPool(device, pool)
            torch._C._cuda_releasePool(device, pool)
        except RuntimeError:  # it has ended
            pass
        except AttributeError:
            _failed.append(self._graph)

    def __call__(self) -> None:
        """Make one step."""
        self._graph.replay()


def agree(expected: Tensor, found: Tensor, dtype: torch.dtype) -> bool:
    """Return whether steps from one state gave the same MEASURES [4, lanes]; their losses are compared.

    `dtype` is what the networks compute in.
    """
    return torch.allclose(expected[:2], found[:2], rtol=TOLERANCE.get(dtype, OTHERWISE), equal_nan=True)
