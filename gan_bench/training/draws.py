"""All the randomness of one step, drawn for each lane from its own streams."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gan_bench.models.dropout import Dropout
from gan_bench.training.streams import Streams, draw_mask, draw_noise


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
        batch = self.noise_shape[0]
        noise = [draw_noise(self.noise_kind, self.noise_shape, lane["noise"], self.dtype) for lane in lanes]
        return Draws(_stack(noise), self._masks(lanes, (2, batch)), self._masks(lanes, (batch,)))

    def _masks(self, lanes: Sequence[Streams], leading: tuple[int, ...]) -> dict[str, Tensor]:
        return {f"{name}.mask": self._mask(lanes, layer, leading) for name, layer in self.dropouts}

    def _mask(self, lanes: Sequence[Streams], layer: Dropout, leading: tuple[int, ...]) -> Tensor:
        """Return one layer's mask [lanes, ...leading, ...features]."""
        return _stack(
            [draw_mask(layer.p, leading, layer.features, lane["dropout"], self.compute_dtype) for lane in lanes]
        )


def _stack(lanes: Sequence[Tensor]) -> Tensor:
    return lanes[0].unsqueeze(0) if len(lanes) == 1 else torch.stack(list(lanes))
