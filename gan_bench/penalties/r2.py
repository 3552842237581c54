"""The R2 penalty: gradients of D at generated images."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import Tensor

from gan_bench.core.frozen import Frozen
from gan_bench.core.option_fields import Count
from gan_bench.penalties.base import Discriminator, Penalty, Rng, input_gradients, penalties


class R2Recipe(Frozen):
    """Weight and interval as for R1."""

    r2_weight: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 10.0
    r2_interval: Count = 1


@penalties.register("r2")
class R2(Penalty):
    """r2_weight / 2 * E[||grad D(G(z))||^2] at generated images (arXiv 1801.04406); lazy with r2_interval > 1."""

    title = "R2 (gradients at generated images)"
    paper = "arXiv 1801.04406"
    recipe_type = R2Recipe
    recipe: R2Recipe

    @property
    def interval(self) -> int:
        """Apply the penalty every `r2_interval`-th update of D."""
        return self.recipe.r2_interval

    def __call__(self, d: Discriminator, real: Tensor, fake: Tensor, rng: Rng) -> Tensor:
        """Return one value per lane, [lanes]."""
        squares = input_gradients(d, fake).square().flatten(2).sum(-1)
        return self.recipe.r2_weight / 2 * squares.mean(-1)
