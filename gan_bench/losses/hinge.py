"""The hinge loss."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import relu

from gan_bench.losses.base import Loss, losses


@losses.register("hinge")
class Hinge(Loss):
    """max(0, 1 - D(x)) + max(0, 1 + D(G(z))) for D, -D(G(z)) for G (arXiv 1705.02894, 1802.05957)."""

    title = "Hinge"
    paper = "arXiv 1705.02894"

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """Return the sum of both hinge losses, each a mean over the batch."""
        return relu(1 - real_logits).mean(-1) + relu(1 + fake_logits).mean(-1)

    def generator(self, real_logits: Tensor | None, fake_logits: Tensor) -> Tensor:
        """Return the negated mean logit of the fakes."""
        return -fake_logits.mean(-1)
