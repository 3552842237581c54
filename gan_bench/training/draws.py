"""All the randomness of one step, drawn for each lane from its own streams."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gan_bench.models.dropout import Dropout
from gan_bench.training.streams import Streams, draw_bits, draw_noise, make_mask


@dataclass(frozen=True)
class Draws:
    """Noise [lanes, B, Z] and the discriminator's dropout masks by buffer name.

    `d_masks` are [lanes, 2, B, ...], for real and for fake images; `g_masks`, for the generator's half,
    are [lanes, B, ...].
    """

    noise: Tensor
    d_masks: dict[str, Tensor]
    g_masks: dict[str, Tensor]


@dataclass(frozen=True)
class Drawing:
    """What a step draws: `noise_shape` is (B, Z); masks are made in the type that the networks compute in."""

    noise_kind: str
    noise_shape: tuple[int, int]
    dropouts: Sequence[tuple[str, Dropout]]
    dtype: torch.dtype
    compute_dtype: torch.dtype

    def __call__(self, lanes: Sequence[Streams]) -> Draws:
        """Return the next step's draws; the lanes' streams move on."""
        noise = [draw_noise(self.noise_kind, self.noise_shape, lane["noise"], self.dtype) for lane in lanes]
        batch = self.noise_shape[0]
        wanted = [(leading, name, layer) for leading in ((2, batch), (batch,)) for name, layer in self.dropouts]
        sizes = [math.prod((*leading, *layer.features)) for leading, _, layer in wanted]
        # one call a lane draws the bits of all masks: on a GPU, every call is one more kernel to launch
        bits = torch.split(draw_bits([lane["dropout"] for lane in lanes], sum(sizes)), sizes, dim=1)
        d_masks: dict[str, Tensor] = {}
        g_masks: dict[str, Tensor] = {}
        for (leading, name, layer), own in zip(wanted, bits, strict=True):
            masks = d_masks if len(leading) == 2 else g_masks
            masks[f"{name}.mask"] = make_mask(layer.p, leading, layer.features, own, self.compute_dtype)
        return Draws(torch.stack(noise), d_masks, g_masks)
