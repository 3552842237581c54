"""Conditional DCGAN for 28x28 images with a projection discriminator."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import nn

from gan_bench.core.training_spec import Recipe
from gan_bench.models.base import Model, models
from gan_bench.models.conditional import ClassEmbedding, LabelledInput, Projection

PROJECTION_STD = 0.02
"""Initial values of a projection's vectors: as small as the weights, so that the image decides at first."""


class CDCGAN28Recipe(Recipe):
    """Adam 2e-4, beta1 0.5, batch 128, z 100, 50 epochs."""

    epochs: int | None = 50
    embedding_dim: Annotated[int, Field(ge=1, le=4096)] = 50
    """Numbers that stand for a class in the generator's input."""


class ConditionalDCGAN28(Model):
    """Both networks of a conditional DCGAN at 28x28, up to D's last layer."""

    image_sizes = (28,)
    conditional = True
    recipe: CDCGAN28Recipe

    def generator(self) -> nn.Module:
        """Return noise [B, z_dim], labels [B] -> images [B, C, 28, 28]."""
        wide, narrow, units = self.scaled(128), self.scaled(64), self.scaled(1024)
        net = nn.Sequential(
            nn.Linear(self.recipe.z_dim + self.recipe.embedding_dim, units, bias=False),
            nn.BatchNorm1d(units),
            nn.ReLU(),
            nn.Linear(units, wide * 7 * 7, bias=False),
            nn.Unflatten(1, (wide, 7, 7)),
            nn.BatchNorm2d(wide),
            nn.ReLU(),
            nn.ConvTranspose2d(wide, narrow, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(narrow),
            nn.ReLU(),
            nn.ConvTranspose2d(narrow, self.shape.channels, 4, stride=2, padding=1),
            nn.Tanh(),
        )
        embedding = ClassEmbedding(self.n_classes, self.recipe.embedding_dim)
        return LabelledInput(nn.Identity(), embedding, net)

    def features(self) -> nn.Sequential:
        """Return images [B, C, 28, 28] -> features [B, F], F = 1024 at width 1."""
        narrow, wide, units = self.scaled(64), self.scaled(128), self.scaled(1024)
        return nn.Sequential(
            nn.Conv2d(self.shape.channels, narrow, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(narrow, wide, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(wide),
            nn.LeakyReLU(0.2),
            nn.Flatten(),
            nn.Linear(wide * 7 * 7, units, bias=False),
            nn.BatchNorm1d(units),
            nn.LeakyReLU(0.2),
        )


@models.register("cdcgan28")
class CDCGAN28(ConditionalDCGAN28):
    """G: an embedded label beside the noise, 1024, 7x7x128, 14x14x64, image; D: its mirror, with a projection."""

    title = "Conditional DCGAN with a projection discriminator, 28x28"
    paper = "arXiv 1511.06434, conditional as in arXiv 1802.05637"
    alias = "cdcgan"
    recipe_type = CDCGAN28Recipe

    def discriminator(self) -> nn.Module:
        """Return images [B, C, 28, 28], labels [B] -> logits [B]."""
        units = self.scaled(1024)
        embedding = ClassEmbedding(self.n_classes, units, PROJECTION_STD)
        return Projection(self.features(), nn.Linear(units, 1), embedding)
