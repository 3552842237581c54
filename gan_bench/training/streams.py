"""Explicit randomness: every draw of a lane comes from a generator seeded by (seed, stream)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor

NAMES = ("data", "noise", "dropout")
"""The streams whose state is part of a checkpoint; others are drawn from anew each time (see `generator`)."""


def generator(seed: int, stream: str, device: torch.device) -> torch.Generator:
    """Return a fresh generator for a stream: equal seeds and streams draw equal numbers on one kind of device."""
    fresh = torch.Generator(device)
    fresh.manual_seed(_mixed(f"{seed}/{stream}".encode()))
    return fresh


def _mixed(what: bytes) -> int:
    return int.from_bytes(hashlib.sha256(what).digest()[:8], "little") >> 1


class Streams:
    """The generators of one lane's training."""

    def __init__(self, seed: int, device: torch.device) -> None:
        self._generators = {name: generator(seed, name, device) for name in NAMES}

    def __getitem__(self, name: str) -> torch.Generator:
        return self._generators[name]

    def state(self) -> dict[str, Tensor]:
        """Return each generator's state, uint8 [n] on the CPU."""
        return {name: each.get_state() for name, each in self._generators.items()}

    def load(self, state: dict[str, Tensor]) -> None:
        """Continue where `state` was taken; on another kind of device, with numbers that follow from it."""
        for name, each in self._generators.items():
            if state[name].numel() == each.get_state().numel():
                each.set_state(state[name])
            else:  # a CPU and a GPU draw by other methods: the run's caveat says that it has changed device
                each.manual_seed(_mixed(state[name].numpy().tobytes()))


def draw_noise(kind: str, shape: tuple[int, ...], source: torch.Generator, dtype: torch.dtype) -> Tensor:
    """Return the generator's input: N(0, 1) for `normal`, U(-1, 1) for `uniform`."""
    if kind == "normal":
        return torch.randn(shape, generator=source, device=source.device, dtype=dtype)
    return torch.rand(shape, generator=source, device=source.device, dtype=dtype).mul_(2).sub_(1)


def draw_bits(lanes: Sequence[torch.Generator], count: int) -> Tensor:
    """Return so many numbers of sixteen random bits for each lane, int16 [lanes, count]."""
    device = lanes[0].device
    words = torch.empty(len(lanes), (count + 3) // 4, dtype=torch.int64, device=device)  # four to a draw
    for own, source in zip(words, lanes, strict=True):
        own.random_(-(2**63), None, generator=source)
    return words.view(torch.int16)[:, :count]


def make_mask(
    p: float, leading: tuple[int, ...], features: tuple[int, ...], bits: Tensor, dtype: torch.dtype
) -> Tensor:
    """Return dropout masks [lanes, *leading, *features]: 0 with probability p (to 1 in 65,536), else 1 / (1 - p).

    `bits` is what `draw_bits` returned, a number for each element. The first of the features, an image's channels,
    is innermost in memory, as in the activations that are multiplied.
    """
    channels, *sides = features
    bits = bits.view(-1, *leading, *sides, channels)
    mask = torch.empty(bits.shape, dtype=dtype, device=bits.device)
    torch.ge(bits, round(p * 65536) - 32768, out=mask)  # in one pass: a bool in between takes four times as long
    return mask.mul_(1 / (1 - p)).movedim(-1, 1 + len(leading))
