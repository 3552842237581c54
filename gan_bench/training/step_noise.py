"""Random numbers of a step, drawn for each lane from its own streams."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gan_bench.models.dropout import Dropout
from gan_bench.training.rng import LaneRng, dropout_mask, latent_noise, random_bits

Masks = dict[str, Tensor]
"""Dropout masks by buffer name, each [lanes, ...]."""
NamedDropouts = Sequence[tuple[str, Dropout]]


@dataclass(frozen=True)
class StepNoise:
    """Noise [lanes, B, Z] and the discriminator's dropout masks for one of its updates.

    `d_masks` are [lanes, 2, B, ...], for real and for fake images. `g_masks` are for the generator's update:
    [lanes, B, ...] for the fakes, or as `d_masks` for a loss that uses real images too; empty where no generator
    update follows.
    """

    noise: Tensor
    d_masks: Masks
    g_masks: Masks


@dataclass(frozen=True)
class StepNoiseSampler:
    """Draws StepNoise: `noise_shape` is (B, Z); masks are in `compute_dtype`, noise is in `dtype`."""

    noise_kind: str
    noise_shape: tuple[int, int]
    dropouts: NamedDropouts
    dtype: torch.dtype
    compute_dtype: torch.dtype
    real_in_generator: bool = False
    """Whether the loss uses real images in the generator's update."""

    def __call__(self, lanes: Sequence[LaneRng], *, updates_g: bool = True) -> StepNoise:
        """Return the noise of the next update of D, and of the update of G that follows if `updates_g`."""
        noise = [latent_noise(self.noise_kind, self.noise_shape, lane["noise"], self.dtype) for lane in lanes]
        batch = self.noise_shape[0]
        pair = (2, batch)
        leadings = [pair, pair if self.real_in_generator else (batch,)] if updates_g else [pair]
        masks = draw_masks([lane["dropout"] for lane in lanes], self.dropouts, leadings, self.compute_dtype)
        return StepNoise(torch.stack(noise), masks[0], masks[1] if updates_g else {})


class PenaltyNoise:
    """Random numbers of a penalty, and dropout masks of its calls of D, from each lane's "penalty" stream."""

    def __init__(
        self, lanes: Sequence[LaneRng], dropouts: NamedDropouts, dtype: torch.dtype, compute_dtype: torch.dtype
    ) -> None:
        self._rngs = [lane["penalty"] for lane in lanes]
        self._dropouts, self._dtype, self._compute_dtype = dropouts, dtype, compute_dtype

    def uniform(self, shape: tuple[int, ...]) -> Tensor:
        """Return numbers from U(0, 1), [lanes, *shape]."""
        draws = [torch.rand(shape, generator=rng, device=rng.device, dtype=self._dtype) for rng in self._rngs]
        return torch.stack(draws)

    def normal(self, shape: tuple[int, ...]) -> Tensor:
        """Return numbers from N(0, 1), [lanes, *shape]."""
        draws = [torch.randn(shape, generator=rng, device=rng.device, dtype=self._dtype) for rng in self._rngs]
        return torch.stack(draws)

    def masks(self, batch: int) -> Masks:
        """Return masks [lanes, batch, ...] for one call of D."""
        return draw_masks(self._rngs, self._dropouts, [(batch,)], self._compute_dtype)[0]


def draw_masks(
    rngs: Sequence[torch.Generator],
    dropouts: NamedDropouts,
    leadings: Sequence[tuple[int, ...]],
    dtype: torch.dtype,
) -> list[Masks]:
    """Return masks [lanes, *leading, *features] of every dropout layer, for each of `leadings`."""
    if not dropouts:
        return [{} for _ in leadings]
    wanted = [(number, name, layer) for number in range(len(leadings)) for name, layer in dropouts]
    sizes = [math.prod((*leadings[number], *layer.features)) for number, _, layer in wanted]
    # one call per lane draws the bits of all masks: on a GPU, every call is one more kernel to launch
    bits = torch.split(random_bits(rngs, sum(sizes)), sizes, dim=1)
    masks: list[Masks] = [{} for _ in leadings]
    for (number, name, layer), own in zip(wanted, bits, strict=True):
        masks[number][f"{name}.mask"] = dropout_mask(layer.p, leadings[number], layer.features, own, dtype)
    return masks
