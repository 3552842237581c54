"""The DRAGAN penalty: gradient norms near real images."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from gan_bench.core.frozen import Frozen
from gan_bench.core.option_fields import Count
from gan_bench.penalties.base import Discriminator, Penalty, Rng, input_gradients, penalties


class DRAGANRecipe(Frozen):
    """The paper's lambda, 10, and noise of half the batch's standard deviation."""

    dragan_weight: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 10.0
    dragan_noise: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.5
    """Largest perturbation, in standard deviations of the pixels of the batch."""
    dragan_interval: Count = 1


@penalties.register("dragan")
class DRAGAN(Penalty):
    """dragan_weight * E[(||grad D(x)|| - 1)^2] between real images and perturbed ones (arXiv 1705.07215)."""

    title = "DRAGAN (gradients near real images)"
    paper = "arXiv 1705.07215"
    recipe_type = DRAGANRecipe
    recipe: DRAGANRecipe

    @property
    def interval(self) -> int:
        """Apply the penalty every `dragan_interval`-th update of D."""
        return self.recipe.dragan_interval

    def __call__(self, d: Discriminator, real: Tensor, fake: Tensor, rng: Rng) -> Tensor:
        """Return one value per lane, [lanes]; noise and mixing weights are from U(0, 1)."""
        scale = self.recipe.dragan_noise * real.flatten(1).std(-1, correction=0)
        perturbation = scale[:, None, None, None, None] * rng.uniform(tuple(real.shape[1:]))
        weight = rng.uniform((real.shape[1], 1, 1, 1))
        norms: Tensor = torch.linalg.vector_norm(
            input_gradients(d, real + weight * perturbation).flatten(2), dim=-1
        )
        return self.recipe.dragan_weight * (norms - 1).square().mean(-1)
