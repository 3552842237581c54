"""The Wasserstein loss, trained with weight clipping."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import Tensor

from gan_bench.core.frozen import Frozen
from gan_bench.losses.base import Loss, losses


class WGANRecipe(Frozen):
    """The paper's limit of D's weights, c = 0.01."""

    wgan_clip: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 0.01


@losses.register("wgan")
class WGAN(Loss):
    """D(G(z)) - D(x) for D, -D(G(z)) for G; every parameter of D is clipped to [-wgan_clip, wgan_clip].

    With 5 updates of D per update of G (arXiv 1701.07875). The paper uses RMSProp, because momentum made training
    unstable; here it is Adam with betas 0 and 0.9, which has none either.
    """

    title = "Wasserstein with weight clipping"
    paper = "arXiv 1701.07875"
    overrides = {"d_steps": 5, "beta1": 0.0, "beta2": 0.9}
    recipe_type = WGANRecipe
    recipe: WGANRecipe
    penalties = ("none",)

    @property
    def weight_limit(self) -> float:
        """The paper's c."""
        return self.recipe.wgan_clip

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """Return the negated estimate of the Wasserstein distance."""
        return fake_logits.mean(-1) - real_logits.mean(-1)

    def generator(self, real_logits: Tensor | None, fake_logits: Tensor) -> Tensor:
        """Return the negated mean logit of the fakes."""
        return -fake_logits.mean(-1)
