"""CUDA graphs of a step, and the comparison of their losses with those of eager steps."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

TOLERANCE = {torch.bfloat16: 3e-2}
DEFAULT_TOLERANCE = 1e-3
"""Relative difference of losses between two programs of a step, which may sum in another order."""


_failed: list[torch.cuda.CUDAGraph] = []
"""Graphs whose capture failed and could not be ended, kept alive: the allocator may refer to them later."""


class Graph:
    """A step captured as a CUDA graph: hundreds of kernels with one launch.

    `generators` are those that the step draws from; every replay advances them, as an eager step does. Raises
    RuntimeError where the step can't be captured.
    """

    def __init__(
        self, advance: Callable[[], None], generators: Sequence[torch.Generator], device: torch.device
    ) -> None:
        self._graph = torch.cuda.CUDAGraph()
        if torch.torch_version.__version__ < "2.14":  # compared as versions; later ones register by themselves
            for generator in generators:
                self._graph.register_generator_state(generator)
        torch.cuda.synchronize(device)
        gc.collect()
        stream, pool = torch.cuda.current_stream(device), torch.cuda.graph_pool_handle()
        try:
            with torch.cuda.device(device), torch.cuda.graph(self._graph, pool=pool):
                advance()
        except BaseException:
            # a failed capture leaves the thread on its stream, and generators that can't draw
            self._release(stream.device_index, pool)
            torch.cuda.set_stream(stream)
            for generator in (*generators, torch.cuda.default_generators[stream.device_index]):
                fresh = torch.Generator(stream.device)
                fresh.set_state(generator.get_state())
                generator.graphsafe_set_state(fresh)
            raise

    def _release(self, device: int, pool: tuple[int, int]) -> None:
        """Release a failed capture's memory, for versions of PyTorch that don't (2.11; 2.15 does)."""
        try:
            torch._C._cuda_endAllocateToPool(device, pool)
            torch._C._cuda_releasePool(device, pool)
        except RuntimeError:  # already released
            pass
        except AttributeError:
            _failed.append(self._graph)

    def __call__(self) -> None:
        """Make one step."""
        self._graph.replay()


def agree(expected: Tensor, found: Tensor, dtype: torch.dtype) -> bool:
    """Return whether two programs gave the same losses, given their MEASURES [4, lanes] from one state.

    `dtype` is the dtype of the forward pass.
    """
    return torch.allclose(expected[:2], found[:2], rtol=TOLERANCE.get(dtype, DEFAULT_TOLERANCE), equal_nan=True)
