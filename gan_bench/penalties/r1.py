"""The R1 penalty: gradients of D at real images."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import Tensor

from gan_bench.core.frozen import Frozen
from gan_bench.core.option_fields import Count
from gan_bench.penalties.base import Discriminator, Penalty, Rng, input_gradients, penalties


class R1Recipe(Frozen):
    """The paper's gamma, 10, at every update of D."""

    r1_weight: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 10.0
    """The paper's gamma."""
    r1_interval: Count = 1


@penalties.register("r1")
class R1(Penalty):
    """r1_weight / 2 * E[||grad D(x)||^2] at real images (arXiv 1801.04406); lazy with r1_interval > 1."""

    title = "R1 (gradients at real images)"
    paper = "arXiv 1801.04406"
    recipe_type = R1Recipe
    recipe: R1Recipe

    @property
    def interval(self) -> int:
        """Apply the penalty every `r1_interval`-th update of D."""
        return self.recipe.r1_interval

    def __call__(self, d: Discriminator, real: Tensor, fake: Tensor, rng: Rng) -> Tensor:
        """Return one value per lane, [lanes]."""
        squares = input_gradients(d, real).square().flatten(2).sum(-1)
        return self.recipe.r1_weight / 2 * squares.mean(-1)
