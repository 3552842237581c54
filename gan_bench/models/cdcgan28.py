"""Conditional DCGAN for 28x28 images with a projection discriminator."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field
from torch import nn

from gan_bench.models.base import models
from gan_bench.models.conditional import ClassEmbedding, LabelledInput, Projection
from gan_bench.models.dcgan28 import DCGAN28, DCGAN28Recipe

PROJECTION_STD = 0.02
"""Initial values of a projection's vectors: as small as the weights, so that the image decides at first."""


class CDCGAN28Recipe(DCGAN28Recipe):
    """That of `dcgan28`."""

    embedding_dim: Annotated[int, Field(ge=1, le=4096)] = 50
    """Numbers that stand for a class in the generator's input."""


@models.register("cdcgan28")
class CDCGAN28(DCGAN28):
    """The nets of `dcgan28` with an embedded label beside the noise, and a projection in D.

    The features that the label is projected on are not normalized: with BatchNorm there, D wins at once.
    """

    title = "Conditional DCGAN with a projection discriminator, 28x28"
    paper = "arXiv 1511.06434, conditional as in arXiv 1802.05637"
    alias: ClassVar[str | None] = "cdcgan"
    conditional = True
    recipe_type = CDCGAN28Recipe
    recipe: CDCGAN28Recipe

    def generator(self) -> nn.Module:
        """Return noise [B, z_dim], labels [B] -> images [B, C, 28, 28]."""
        embedding = ClassEmbedding(self.n_classes, self.recipe.embedding_dim)
        net = self.transposed_convolutions(self.recipe.z_dim + self.recipe.embedding_dim)
        return LabelledInput(nn.Identity(), embedding, net)

    def discriminator(self) -> nn.Module:
        """Return images [B, C, 28, 28], labels [B] -> logits [B]."""
        units = self.scaled(1024)
        dense = (nn.Linear(self.scaled(128) * 7 * 7, units), nn.LeakyReLU(0.2))
        embedding = ClassEmbedding(self.n_classes, units, PROJECTION_STD)
        return Projection(nn.Sequential(*self.convolutions(), *dense), nn.Linear(units, 1), embedding)
