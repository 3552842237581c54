"""Compute the results of the emulated GPU's kernels on the CPU: every operator on CUDA tensors is repeated there.

PyTorch's own CUDA code runs first. Device memory is host memory (see runtime.c), so that each operator is then
executed on CPU tensors that alias the same memory. During stream capture operators are recorded on a tape, which a
replay of the graph executes on the current contents of memory. Random numbers are a function of a generator's seed
and offset; PyTorch advances the offset, also in a replay.

    LD_PRELOAD=libcuda.so.1 python arithmetic.py (SCRIPT | -m MODULE) [ARGUMENTS]
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

READS_MEMORY = ("aten::_local_scalar_dense", "aten::is_pinned", "aten::record_stream")
ALLOCATES = ("aten::empty.memory_format", "aten::empty_strided", "aten::empty_like", "aten::new_empty")
SHAPED_BY_DATA = ("aten::bincount", "aten::nonzero", "aten::masked_select", "aten::_unique2")

Recorded = Callable[[dict[int, int]], None]
"""Execute one operator; the argument maps each generator to its offset at the start of the replay."""


def cpu_alias(value: Any) -> Any:
    """Return a CPU tensor in a CUDA tensor's memory, the CPU for a CUDA device, anything else unchanged."""
    if isinstance(value, torch.device):
        return torch.device("cpu") if value.type == "cuda" else value
    if not isinstance(value, Tensor) or value.device.type != "cuda":
        return value
    if not value.numel():
        return torch.empty_strided(value.shape, value.stride(), dtype=value.dtype)
    last = sum((size - 1) * stride for size, stride in zip(value.shape, value.stride(), strict=True))
    memory = (ctypes.c_char * ((last + 1) * value.element_size())).from_address(value.data_ptr())
    return torch.frombuffer(memory, dtype=value.dtype).as_strided(value.shape, value.stride())


def storages(tensors: list[Tensor]) -> set[int]:
    return {each.untyped_storage().data_ptr() for each in tensors if each.device.type == "cuda"}


class Arithmetic(TorchDispatchMode):
    """Executes every CUDA operator on the CPU, or records it during capture."""

    def __init__(self) -> None:
        super().__init__()
        self.tape: list[Recorded] = []
        self.generators: dict[int, torch.Generator] = {}
        self._advances: dict[Any, int] = {}
        self._offsets: dict[int, int] = {}

    def new_tape(self) -> tuple[list[Recorded], dict[int, torch.Generator]]:
        """Start a tape for a capture; return it and the generators that it draws from."""
        self.tape, self.generators, self._offsets = [], {}, {}
        return self.tape, self.generators

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        leaves, spec = tree_flatten((args, kwargs or {}))
        tensors = [each for each in leaves if isinstance(each, Tensor)]
        plain = all(type(each) in (Tensor, torch.nn.Parameter) for each in tensors)
        on_gpu = any(
            getattr(x, "device", x).type == "cuda" for x in leaves if isinstance(x, Tensor | torch.device)
        )
        is_view = func.is_view and not func._can_decompose()  # `reshape` and the like may copy
        if is_view or not plain or not on_gpu:
            return func(*args, **kwargs or {})
        name = func.name()
        aliases = [cpu_alias(each) for each in leaves]

        def computed(source: torch.Generator | None = None) -> Any:
            given = [source if isinstance(each, torch.Generator) else each for each in aliases]
            cpu_args, cpu_kwargs = tree_unflatten(given, spec)
            return func(*cpu_args, **cpu_kwargs)

        if name in SHAPED_BY_DATA:
            return tree_map(lambda each: each.cuda() if isinstance(each, Tensor) else each, computed())
        generator = next((each for each in leaves if isinstance(each, torch.Generator)), None)
        if generator is None and torch.Tag.nondeterministic_seeded in func.tags:
            generator = torch.cuda.default_generators[0]
        capturing = torch.cuda.is_current_stream_capturing()
        before = generator.get_offset() if generator is not None and not capturing else 0
        returned = func(*args, **kwargs or {})
        if name in READS_MEMORY + ALLOCATES:
            return returned
        places = [i for i, each in enumerate(tree_leaves(returned)) if isinstance(each, Tensor)]
        outputs = [tree_leaves(returned)[i] for i in places]
        if not outputs and returned is not None:  # a bool or a number
            return computed()
        inputs = storages(tensors)
        written = [i for i, each in enumerate(outputs) if not storages([each]) & inputs or not each.is_cuda]
        if not written and not func._schema.is_mutable:  # a view
            return returned
        targets = [(index, cpu_alias(outputs[index])) for index in written]
        draw = (name, *(each.shape for each in outputs))
        offset = None if generator is None else self._offset(generator, draw, before, capturing)

        def execute(starts: dict[int, int]) -> None:
            source = None
            if generator is not None and offset is not None:
                position = offset + starts.get(generator._cdata, 0)
                source = torch.Generator().manual_seed(hash((generator.initial_seed(), position)) % 2**62)
            results = tree_leaves(computed(source))
            for index, target in targets:
                found = results[places[index]]
                # a CPU leaves out what is not asked for: BatchNorm's statistics in eval mode, gradients of weights
                if found is not None and found.numel():
                    target.copy_(found)

        if capturing:
            self.tape.append(execute)
        else:
            execute({})
        return returned

    def _offset(self, generator: torch.Generator, draw: Any, before: int, capturing: bool) -> int:
        """Return the offset of a draw; in a capture, relative to the start of the graph.

        The advance of a captured draw is that of the same draw outside of captures, which must come first.
        """
        key = generator._cdata
        if not capturing:
            self._advances[draw] = generator.get_offset() - before
            return before
        self.generators[key] = generator
        offset = self._offsets.get(key, 0)
        self._offsets[key] = offset + self._advances[draw]
        return offset


class Graph(torch.cuda.CUDAGraph):
    """A CUDA graph whose replay executes the recorded operators."""

    def capture_begin(self, *args: Any, **kwargs: Any) -> None:
        super().capture_begin(*args, **kwargs)
        self._tape, self._generators = arithmetic.new_tape()

    def replay(self) -> None:
        starts = {key: generator.get_offset() for key, generator in self._generators.items()}
        super().replay()
        with _disable_current_modes():
            for execute in self._tape:
                execute(starts)


arithmetic = Arithmetic()


def enable() -> None:
    """Execute CUDA operators from now on, in this thread."""
    torch.backends.cudnn.enabled = False
    show = torch._tensor_str._str  # PyTorch prints tensors without dispatch modes
    torch._tensor_str._str = lambda tensor, **options: show(cpu_alias(tensor), **options)
    torch.cuda.CUDAGraph = torch.cuda.graphs.CUDAGraph = Graph  # type: ignore[misc]
    arithmetic.__enter__()


def main() -> None:
    run = runpy.run_module if sys.argv[1] == "-m" else runpy.run_path
    del sys.argv[: 2 if sys.argv[1] == "-m" else 1]
    enable()
    run(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
