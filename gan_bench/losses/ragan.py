"""The relativistic average loss."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import softplus

from gan_bench.losses.base import Loss, losses


@losses.register("ragan")
class RaGAN(Loss):
    """Cross-entropy of logits relative to the mean logit of the other half of the batch (arXiv 1807.00734)."""

    title = "Relativistic average"
    paper = "arXiv 1807.00734"
    uses_real_in_generator = True

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """Return both cross-entropies: real above the mean fake, fakes below the mean real."""
        return _relative(real_logits, fake_logits)

    def generator(self, real_logits: Tensor | None, fake_logits: Tensor) -> Tensor:
        """Return both cross-entropies with the roles exchanged."""
        assert real_logits is not None
        return _relative(fake_logits, real_logits)


def _relative(above: Tensor, below: Tensor) -> Tensor:
    first = softplus(below.mean(-1, keepdim=True) - above).mean(-1)
    second = softplus(below - above.mean(-1, keepdim=True)).mean(-1)
    return first + second
