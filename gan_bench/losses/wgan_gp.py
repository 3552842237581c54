"""The Wasserstein loss, trained with a gradient penalty."""

from __future__ import annotations

from torch import Tensor

from gan_bench.losses.base import Loss, losses


@losses.register("wgan-gp")
class WGANGP(Loss):
    """D(G(z)) - D(x) for D, -D(G(z)) for G, with a gradient penalty and 5 updates of D per update of G.

    Adam's betas are 0 and 0.9 (arXiv 1704.00028). The paper leaves BatchNorm out of D, because the penalty is
    defined for each image by itself.
    """

    title = "Wasserstein with gradient penalty"
    paper = "arXiv 1704.00028"
    overrides = {"d_steps": 5, "beta1": 0.0, "beta2": 0.9}
    default_penalty = "gp"
    penalties = ("gp",)

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """Return the negated estimate of the Wasserstein distance."""
        return fake_logits.mean(-1) - real_logits.mean(-1)

    def generator(self, real_logits: Tensor | None, fake_logits: Tensor) -> Tensor:
        """Return the negated mean logit of the fakes."""
        return -fake_logits.mean(-1)
