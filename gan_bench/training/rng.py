"""Random number generators: every draw of a lane comes from a generator seeded by (seed, stream)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor

NAMES = ("data", "noise", "dropout", "penalty")
"""Streams of a training; their states are part of a checkpoint. Other streams start fresh (see `make_rng`)."""


def make_rng(seed: int, stream: str, device: torch.device) -> torch.Generator:
    """Return a fresh generator for a stream: equal seeds and streams give equal numbers on one kind of device."""
    rng = torch.Generator(device)
    rng.manual_seed(stream_seed(seed, stream))
    return rng


def stream_seed(seed: int, stream: str) -> int:
    """Return the 63-bit seed of a stream."""
    return _hashed(f"{seed}/{stream}".encode())


def _hashed(data: bytes) -> int:
    return int.from_bytes(hashlib.sha256(data).digest()[:8], "little") >> 1


class LaneRng:
    """The generators of one lane's training, by stream name."""

    def __init__(self, seed: int, device: torch.device) -> None:
        self._generators = {name: make_rng(seed, name, device) for name in NAMES}

    def __getitem__(self, name: str) -> torch.Generator:
        return self._generators[name]

    def state(self) -> dict[str, Tensor]:
        """Return each generator's state, uint8 [n] on the CPU."""
        return {name: rng.get_state() for name, rng in self._generators.items()}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Restore each generator's state; a state from another kind of device becomes a seed."""
        for name, rng in self._generators.items():
            if state[name].numel() == rng.get_state().numel():
                rng.set_state(state[name])
            else:  # CPU and GPU generators use different algorithms; the run's caveat records the change of device
                rng.manual_seed(_hashed(state[name].numpy().tobytes()))


def latent_noise(kind: str, shape: tuple[int, ...], rng: torch.Generator, dtype: torch.dtype) -> Tensor:
    """Return the generator network's input: N(0, 1) for `normal`, U(-1, 1) for `uniform`."""
    if kind == "normal":
        return torch.randn(shape, generator=rng, device=rng.device, dtype=dtype)
    return torch.rand(shape, generator=rng, device=rng.device, dtype=dtype).mul_(2).sub_(1)


def random_bits(rngs: Sequence[torch.Generator], count: int) -> Tensor:
    """Return `count` numbers of 16 random bits for each lane, int16 [lanes, count]."""
    device = rngs[0].device
    words = torch.empty(len(rngs), (count + 3) // 4, dtype=torch.int64, device=device)  # four numbers per word
    for row, rng in zip(words, rngs, strict=True):
        row.random_(-(2**63), None, generator=rng)
    return words.view(torch.int16)[:, :count]


def dropout_mask(
    p: float, leading: tuple[int, ...], features: tuple[int, ...], bits: Tensor, dtype: torch.dtype
) -> Tensor:
    """Return dropout masks [lanes, *leading, *features]: 0 with probability p (to 1 in 65,536), else 1 / (1 - p).

    `bits` is the result of `random_bits`, one number per element. The first of the features, an image's channels,
    is innermost in memory, as in the activations that are multiplied.
    """
    channels, *sides = features
    bits = bits.view(-1, *leading, *sides, channels)
    mask = torch.empty(bits.shape, dtype=dtype, device=bits.device)
    torch.ge(bits, round(p * 65536) - 32768, out=mask)  # one pass, four times as fast as with a bool tensor
    return mask.mul_(1 / (1 - p)).movedim(-1, 1 + len(leading))
