"""DCGAN for 28x28 images: the common MNIST adaptation with one projection and two transposed convolutions."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import nn

from gan_bench.core.training_spec import Recipe
from gan_bench.models.base import Model, models
from gan_bench.models.dropout import Dropout


class DCGAN28Recipe(Recipe):
    """Adam 2e-4, beta1 0.5, z ~ N(0, 1), 50 epochs; dropout in the discriminator."""

    epochs: int | None = 50
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.3


@models.register("dcgan28")
class DCGAN28(Model):
    """G: linear to 7x7x128, 4x4/2 transposed convolutions to 64 and the image; D: its mirror, with dropout."""

    title = "DCGAN, 28x28"
    paper = "arXiv 1511.06434, adapted to 28x28"
    image_sizes = (28,)
    alias = "dcgan"
    recipe_type = DCGAN28Recipe
    recipe: DCGAN28Recipe

    def generator(self) -> nn.Module:
        """Return noise [B, z_dim] -> images [B, C, 28, 28]."""
        wide, narrow = self.scaled(128), self.scaled(64)
        return nn.Sequential(
            nn.Linear(self.recipe.z_dim, wide * 7 * 7, bias=False),
            nn.Unflatten(1, (wide, 7, 7)),
            nn.BatchNorm2d(wide),
            nn.ReLU(),
            nn.ConvTranspose2d(wide, narrow, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(narrow),
            nn.ReLU(),
            nn.ConvTranspose2d(narrow, self.shape.channels, 4, stride=2, padding=1),
            nn.Tanh(),
        )

    def discriminator(self) -> nn.Module:
        """Return images [B, C, 28, 28] -> logits [B]."""
        narrow, wide, p = self.scaled(64), self.scaled(128), self.recipe.dropout
        return nn.Sequential(
            nn.Conv2d(self.shape.channels, narrow, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            Dropout(p, (narrow, 14, 14)),
            nn.Conv2d(narrow, wide, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            Dropout(p, (wide, 7, 7)),
            nn.Flatten(),
            nn.Linear(wide * 7 * 7, 1),
            nn.Flatten(0),
        )
