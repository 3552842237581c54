"""What the emulated GPU's kernels would have computed: PyTorch's own CUDA code runs, then a CPU does the numbers.

Device memory is the host's (see runtime.c), so that every operator on CUDA tensors can be made anew on CPU tensors
in the very same memory. While a stream is captured nothing is computed, but kept: a graph's replay makes it again,
on whatever is in that memory by then. Random numbers follow from a generator's seed and its offset, which PyTorch
moves on, in a replay too.

    LD_PRELOAD=libcuda.so.1 python arithmetic.py SCRIPT_OR_MODULE [ARGUMENTS]
"""

from __future__ import annotations

import ctypes
import runpy
import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_flatten, tree_leaves, tree_map, tree_unflatten

CPU = torch.device("cpu")
READS_ITSELF = ("aten::_local_scalar_dense", "aten::is_pinned", "aten::record_stream")
ALLOCATES = ("aten::empty.memory_format", "aten::empty_strided", "aten::empty_like", "aten::new_empty")
SHAPED_BY_DATA = ("aten::bincount", "aten::nonzero", "aten::masked_select", "aten::_unique2")

Replayed = Callable[[dict[int, int]], None]
"""Does one operator's work again; gets the offset that each generator was at when the replay began."""


def in_host_memory(value: Any) -> Any:
    """Return a CPU tensor in a CUDA tensor's memory, the CPU for a CUDA device, anything else as it is."""
    if isinstance(value, torch.device):
        return CPU if value.type == "cuda" else value
    if not isinstance(value, Tensor) or value.device.type != "cuda":
        return value
    if not value.numel():
        return torch.empty_strided(value.shape, value.stride(), dtype=value.dtype)
    last = sum((size - 1) * stride for size, stride in zip(value.shape, value.stride(), strict=True))
    memory = (ctypes.c_char * ((last + 1) * value.element_size())).from_address(value.data_ptr())
    return torch.frombuffer(memory, dtype=value.dtype).as_strided(value.shape, value.stride())


def memories(tensors: list[Tensor]) -> set[int]:
    return {each.untyped_storage().data_ptr() for each in tensors if each.device.type == "cuda"}


class Arithmetic(TorchDispatchMode):
    """Computes, or keeps for a replay, whatever CUDA operator is called."""

    def __init__(self) -> None:
        super().__init__()
        self.tape: list[Replayed] = []
        self.drawn_from: dict[int, torch.Generator] = {}
        self._advances: dict[Any, int] = {}
        self._offsets: dict[int, int] = {}

    def begin_tape(self) -> tuple[list[Replayed], dict[int, torch.Generator]]:
        """Keep what is captured from now on on a tape of its own; return it, and the generators it draws from."""
        self.tape, self.drawn_from, self._offsets = [], {}, {}
        return self.tape, self.drawn_from

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        leaves, spec = tree_flatten((args, kwargs or {}))
        tensors = [each for each in leaves if isinstance(each, Tensor)]
        plain = all(type(each) in (Tensor, torch.nn.Parameter) for each in tensors)
        on_gpu = [each for each in (*tensors, *leaves) if isinstance(each, Tensor | torch.device)]
        if not plain or not any(getattr(each, "device", each).type == "cuda" for each in on_gpu):
            return func(*args, **kwargs or {})
        name = func.name()
        swapped = [in_host_memory(each) for each in leaves]

        def computed(source: torch.Generator | None = None) -> Any:
            given = [source if isinstance(each, torch.Generator) else each for each in swapped]
            own_args, own_kwargs = tree_unflatten(given, spec)
            with _disable_current_modes():
                return func(*own_args, **own_kwargs)

        if name in SHAPED_BY_DATA:
            return tree_map(lambda each: each.cuda() if isinstance(each, Tensor) else each, computed())
        generator = next((each for each in leaves if isinstance(each, torch.Generator)), None)
        if generator is None and torch.Tag.nondeterministic_seeded in func.tags:
            generator = torch.cuda.default_generators[0]
        capturing = torch.cuda.is_current_stream_capturing()
        before = generator.get_offset() if generator is not None and not capturing else 0
        returned = func(*args, **kwargs or {})
        if name in READS_ITSELF + ALLOCATES:
            return returned
        outputs = [each for each in tree_leaves(returned) if isinstance(each, Tensor)]
        if not outputs and returned is not None:  # a truth or a number
            return computed()
        known = memories(tensors)
        fresh = [index for index, each in enumerate(outputs) if not memories([each]) & known or not each.is_cuda]
        if not fresh and not func._schema.is_mutable:  # a view
            return returned
        targets = [(index, in_host_memory(outputs[index])) for index in fresh]
        draw = (name, *(each.shape for each in outputs))
        at = None if generator is None else self._offset(generator, draw, before, capturing)

        def work(bases: dict[int, int]) -> None:
            source = None
            if generator is not None and at is not None:
                moved = at + bases.get(generator._cdata, 0)
                source = torch.Generator().manual_seed(hash((generator.initial_seed(), moved)) % 2**62)
            found = [each for each in tree_leaves(computed(source)) if isinstance(each, Tensor)]
            with _disable_current_modes():
                for index, target in targets:
                    if found[index].numel():  # BatchNorm in evaluation: a CPU keeps no statistics of the batch
                        target.copy_(found[index])

        if capturing:
            self.tape.append(work)
        else:
            work({})
        return returned

    def _offset(self, generator: torch.Generator, draw: Any, before: int, capturing: bool) -> int:
        """Return the offset of a draw: in a capture, from the graph's beginning on.

        How far a draw moves a generator is learned from the same draw outside of a capture.
        """
        own = generator._cdata
        if not capturing:
            self._advances[draw] = generator.get_offset() - before
            return before
        self.drawn_from[own] = generator
        offset = self._offsets.get(own, 0)
        self._offsets[own] = offset + self._advances[draw]
        return offset


class Graph(torch.cuda.CUDAGraph):
    """A CUDA graph whose replay does the arithmetic that was captured."""

    def capture_begin(self, *args: Any, **kwargs: Any) -> None:
        super().capture_begin(*args, **kwargs)
        self._tape, self._drawn_from = arithmetic.begin_tape()

    def replay(self) -> None:
        bases = {own: generator.get_offset() for own, generator in self._drawn_from.items()}
        super().replay()
        with _disable_current_modes():
            for work in self._tape:
                work(bases)


arithmetic = Arithmetic()


def begin() -> None:
    """Let the emulated GPU compute from now on, in this thread."""
    torch.backends.cudnn.enabled = False
    torch.cuda.CUDAGraph = torch.cuda.graphs.CUDAGraph = Graph  # type: ignore[misc]
    arithmetic.__enter__()


def main() -> None:
    del sys.argv[0]
    begin()
    if sys.argv[0].endswith(".py"):
        runpy.run_path(sys.argv[0], run_name="__main__")
    else:
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
