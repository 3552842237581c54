"""Conditional DCGAN for 32x32 images with a projection discriminator."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import nn

from gan_bench.models.base import models
from gan_bench.models.conditional import ClassEmbedding, LabelledInput, Projection
from gan_bench.models.dcgan import DCGAN, DCGAN32Recipe

PROJECTION_STD = 0.02
"""Initial values of a projection's vectors: as small as the weights, so that the image decides at first."""


class CDCGAN32Recipe(DCGAN32Recipe):
    """Adam 2e-4, beta1 0.5, batch 128, 150,000 steps."""

    embedding_dim: Annotated[int, Field(ge=1, le=4096)] = 50
    """Numbers that stand for a class in the generator's input."""


@models.register("cdcgan32")
class CDCGAN32(DCGAN):
    """The nets of `dcgan32` with an embedded label beside the noise, and a projection in D."""

    title = "Conditional DCGAN with a projection discriminator, 32x32"
    paper = "arXiv 1511.06434, conditional as in arXiv 1802.05637"
    image_sizes = (32,)
    alias = "cdcgan"
    conditional = True
    recipe_type = CDCGAN32Recipe
    recipe: CDCGAN32Recipe
    g_channels = (512, 256, 128)
    d_channels = (64, 128, 256)

    def generator(self) -> nn.Module:
        """Return noise [B, z_dim], labels [B] -> images [B, C, 32, 32]."""
        embedding = ClassEmbedding(self.n_classes, self.recipe.embedding_dim)
        net = self.transposed_convolutions(self.recipe.z_dim + self.recipe.embedding_dim)
        return LabelledInput(nn.Identity(), embedding, net)

    def discriminator(self) -> nn.Module:
        """Return images [B, C, 32, 32], labels [B] -> logits [B]."""
        features = self.scaled(self.d_channels[-1]) * self.smallest**2
        embedding = ClassEmbedding(self.n_classes, features, PROJECTION_STD)
        return Projection(nn.Sequential(*self.convolutions(), nn.Flatten()), nn.Linear(features, 1), embedding)
