"""The gradient penalty of WGAN-GP, two-sided or one-sided."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from gan_bench.core.frozen import Frozen
from gan_bench.core.option_fields import Count
from gan_bench.penalties.base import Discriminator, Penalty, Rng, input_gradients, penalties


class GPRecipe(Frozen):
    """The paper's weight, lambda = 10, at every update of D."""

    gp_weight: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 10.0
    gp_one_sided: bool = False
    """Penalize only norms above 1 (the paper's section 4, and arXiv 1709.08894)."""
    gp_interval: Count = 1


@penalties.register("gp")
class GP(Penalty):
    """gp_weight * E[(||grad D(x)|| - 1)^2] at random points between real and fake images (arXiv 1704.00028)."""

    title = "Gradient penalty (two-sided; one-sided by gp_one_sided)"
    paper = "arXiv 1704.00028"
    recipe_type = GPRecipe
    recipe: GPRecipe

    @property
    def interval(self) -> int:
        """Apply the penalty every `gp_interval`-th update of D."""
        return self.recipe.gp_interval

    def __call__(self, d: Discriminator, real: Tensor, fake: Tensor, rng: Rng) -> Tensor:
        """Return one value per lane, [lanes]; each pair of images has a mixing weight from U(0, 1)."""
        weight = rng.uniform((real.shape[1], 1, 1, 1))
        gradients = input_gradients(d, weight * real + (1 - weight) * fake)
        norms: Tensor = torch.linalg.vector_norm(gradients.flatten(2), dim=-1)
        excess = norms - 1
        if self.recipe.gp_one_sided:
            excess = excess.relu()
        return self.recipe.gp_weight * excess.square().mean(-1)
