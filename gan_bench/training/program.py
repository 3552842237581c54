"""How a step is run: eagerly, or as one CUDA graph where that is to be had and gives the same numbers."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Advance = Callable[[], None]
"""Makes one step on tensors that stay where they are; nothing of it depends on the host."""

TOLERANCE = 1e-3
"""Relative difference between eager and captured losses: a sum on a GPU may run in another order each time."""


class Graph:
    """One step captured as a CUDA graph: hundreds of kernels launched as one.

    `generators` are those that the step draws from; the graph moves them on at every replay, as eager steps do.
    Raises RuntimeError where the step can't be captured.
    """

    def __init__(self, advance: Advance, generators: Sequence[torch.Generator], device: torch.device) -> None:
        self._graph = torch.cuda.CUDAGraph()
        for generator in generators:
            self._graph.register_generator_state(generator)
        torch.cuda.synchronize(device)
        gc.collect()
        with torch.cuda.device(device), torch.cuda.graph(self._graph):
            advance()

    def __call__(self) -> None:
        """Make one step."""
        self._graph.replay()


def agree(eager: Tensor, captured: Tensor) -> bool:
    """Return whether steps from one state gave the same MEASURES [4, lanes]; their losses are compared."""
    return torch.allclose(eager[:2], captured[:2], rtol=TOLERANCE, equal_nan=True)
