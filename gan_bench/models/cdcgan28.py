"""Conditional DCGAN for 28x28 images: the label joins the noise in G, and the features of the image in D."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field
from torch import nn

from gan_bench.models.base import models
from gan_bench.models.conditional import ClassEmbedding, LabelledInput
from gan_bench.models.dcgan28 import DCGAN28, DCGAN28Recipe


class CDCGAN28Recipe(DCGAN28Recipe):
    """That of `dcgan28`."""

    embedding_dim: Annotated[int, Field(ge=1, le=4096)] = 50
    """Numbers that stand for a class in both networks."""


@models.register("cdcgan28")
class CDCGAN28(DCGAN28):
    """The nets of `dcgan28` with an embedded label beside the noise, and beside what D's dense layer gets.

    A projection of the label on D's features (arXiv 1802.05637) was tried: D won at once (docs/recipes.md).
    """

    title = "Conditional DCGAN, 28x28"
    paper = "arXiv 1511.06434, conditional as in arXiv 1411.1784"
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
        units, embedding = self.scaled(1024), ClassEmbedding(self.n_classes, self.recipe.embedding_dim)
        net = nn.Sequential(
            nn.Linear(self.scaled(128) * 7 * 7 + self.recipe.embedding_dim, units, bias=False),
            nn.BatchNorm1d(units),
            nn.LeakyReLU(0.2),
            nn.Linear(units, 1),
            nn.Flatten(0),
        )
        return LabelledInput(self.convolutions(), embedding, net)
