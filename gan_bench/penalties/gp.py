"""The two-sided gradient penalty of WGAN-GP."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from gan_bench.core.frozen import Frozen
from gan_bench.penalties.base import Discriminator, Penalty, Rng, input_gradients, penalties


class GPRecipe(Frozen):
    """The paper's weight, lambda = 10."""

    gp_weight: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 10.0


@penalties.register("gp")
class GP(Penalty):
    """gp_weight * E[(||grad D(x)|| - 1)^2] at random points between real and fake images (arXiv 1704.00028)."""

    title = "Gradient penalty (two-sided)"
    paper = "arXiv 1704.00028"
    recipe_type = GPRecipe
    recipe: GPRecipe

    def __call__(self, d: Discriminator, real: Tensor, fake: Tensor, rng: Rng) -> Tensor:
        """Return one value per lane, [lanes]; each pair of images has a mixing weight from U(0, 1)."""
        weight = rng.uniform((real.shape[1], 1, 1, 1))
        gradients = input_gradients(d, weight * real + (1 - weight) * fake)
        norms: Tensor = torch.linalg.vector_norm(gradients.flatten(2), dim=-1)
        return self.recipe.gp_weight * (norms - 1).square().mean(-1)
