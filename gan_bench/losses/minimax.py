"""The minimax (saturating) loss of the GAN paper."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import softplus

from gan_bench.losses.base import Loss, losses


@losses.register("minimax")
class Minimax(Loss):
    """-log D(x) - log(1 - D(G(z))) for D, log(1 - D(G(z))) for G (arXiv 1406.2661).

    Its gradients vanish while D rejects every fake with confidence; the paper trains with `bce` for that reason.
    """

    title = "Minimax (saturating)"
    paper = "arXiv 1406.2661"

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """Return the sum of both cross-entropies, each a mean over the batch."""
        return softplus(-real_logits).mean(-1) + softplus(fake_logits).mean(-1)

    def generator(self, real_logits: Tensor | None, fake_logits: Tensor) -> Tensor:
        """Return the negated cross-entropy of fakes labelled fake."""
        return -softplus(fake_logits).mean(-1)
