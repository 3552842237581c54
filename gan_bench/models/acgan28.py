"""AC-GAN for 28x28 images: D classifies images instead of getting their labels."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import nn

from gan_bench.models.base import models
from gan_bench.models.cdcgan28 import CDCGAN28, CDCGAN28Recipe


class ACGAN28Recipe(CDCGAN28Recipe):
    """That of `cdcgan28`, with the weight of the auxiliary classifier's cross-entropy."""

    class_weight: Annotated[float, Field(gt=0)] = 1.0
    """Weight of the cross-entropy of the classes in both losses."""


@models.register("acgan28")
class ACGAN28(CDCGAN28):
    """The generator of `cdcgan28`; D classifies images instead of getting their labels."""

    title = "AC-GAN (auxiliary classifier), 28x28"
    paper = "arXiv 1610.09585, nets of DCGAN at 28x28"
    alias = None
    recipe_type = ACGAN28Recipe
    recipe: ACGAN28Recipe

    @property
    def class_weight(self) -> float | None:
        """The recipe's weight of the classifier's cross-entropy."""
        return self.recipe.class_weight

    def discriminator(self) -> nn.Module:
        """Return images [B, C, 28, 28] -> logits [B, 1 + n_classes]: real or fake, then the classes."""
        units = self.scaled(1024)
        return nn.Sequential(
            *self.convolutions(),
            nn.Linear(self.scaled(128) * 7 * 7, units, bias=False),
            nn.BatchNorm1d(units),
            nn.LeakyReLU(0.2),
            nn.Linear(units, 1 + self.n_classes),
        )
