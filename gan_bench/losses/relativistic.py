"""The relativistic pairing loss."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import softplus

from gan_bench.losses.base import Loss, losses


@losses.register("relativistic")
class Relativistic(Loss):
    """softplus(-(D(x) - D(G(z)))) for D, softplus(-(D(G(z)) - D(x))) for G, over pairs (RpGAN, arXiv 1807.00734).

    R3GAN trains it with R1 and R2, without which it need not converge (arXiv 2501.05441).
    """

    title = "Relativistic pairing (RpGAN)"
    paper = "arXiv 1807.00734, arXiv 2501.05441"
    default_penalty = "r1+r2"
    uses_real_in_generator = True

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """Return the cross-entropy of each real image being more real than its fake."""
        return softplus(fake_logits - real_logits).mean(-1)

    def generator(self, real_logits: Tensor | None, fake_logits: Tensor) -> Tensor:
        """Return the cross-entropy of each fake being more real than its real image."""
        assert real_logits is not None
        return softplus(real_logits - fake_logits).mean(-1)
