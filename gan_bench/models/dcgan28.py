"""DCGAN for 28x28 images: two linear layers and two transposed convolutions, mirrored in D."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field
from torch import nn

from gan_bench.core.training_spec import Recipe
from gan_bench.models.base import Model, models
from gan_bench.models.dropout import Dropout


class DCGAN28Recipe(Recipe):
    """Adam 2e-4, beta1 0.5, z ~ N(0, 1), 50 epochs; no dropout in D, with which G learns more slowly."""

    epochs: int | None = 50
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0


@models.register("dcgan28")
class DCGAN28(Model):
    """G: linear to 1024, to 7x7x128, 5x5/2 transposed convolutions to 64 and the image; D: its mirror.

    BatchNorm everywhere but at the images and the logit. docs/recipes.md compares it with other nets.
    """

    title = "DCGAN, 28x28"
    paper = "arXiv 1511.06434, adapted to 28x28"
    image_sizes = (28,)
    alias: ClassVar[str | None] = "dcgan"
    recipe_type = DCGAN28Recipe
    recipe: DCGAN28Recipe

    def generator(self) -> nn.Module:
        """Return noise [B, z_dim] -> images [B, C, 28, 28]."""
        return self.transposed_convolutions(self.recipe.z_dim)

    def discriminator(self) -> nn.Module:
        """Return images [B, C, 28, 28] -> logits [B]."""
        units = self.scaled(1024)
        return nn.Sequential(
            *self.convolutions(),
            nn.Linear(self.scaled(128) * 7 * 7, units, bias=False),
            nn.BatchNorm1d(units),
            nn.LeakyReLU(0.2),
            nn.Linear(units, 1),
            nn.Flatten(0),
        )

    def transposed_convolutions(self, inputs: int) -> nn.Sequential:
        """Return vectors [B, inputs] -> images [B, C, 28, 28]."""
        wide, narrow, units = self.scaled(128), self.scaled(64), self.scaled(1024)
        return nn.Sequential(
            nn.Linear(inputs, units, bias=False),
            nn.BatchNorm1d(units),
            nn.ReLU(),
            nn.Linear(units, wide * 7 * 7, bias=False),
            nn.Unflatten(1, (wide, 7, 7)),
            nn.BatchNorm2d(wide),
            nn.ReLU(),
            nn.ConvTranspose2d(wide, narrow, 5, stride=2, padding=2, output_padding=1, bias=False),
            nn.BatchNorm2d(narrow),
            nn.ReLU(),
            nn.ConvTranspose2d(narrow, self.shape.channels, 5, stride=2, padding=2, output_padding=1),
            nn.Tanh(),
        )

    def convolutions(self) -> nn.Sequential:
        """Return images [B, C, 28, 28] -> activations as vectors, [B, 7 * 7 * 128] at width 1."""
        narrow, wide, p = self.scaled(64), self.scaled(128), self.recipe.dropout
        return nn.Sequential(
            nn.Conv2d(self.shape.channels, narrow, 5, stride=2, padding=2),
            nn.LeakyReLU(0.2),
            Dropout(p, (narrow, 14, 14)),
            nn.Conv2d(narrow, wide, 5, stride=2, padding=2, bias=False),
            nn.BatchNorm2d(wide),
            nn.LeakyReLU(0.2),
            Dropout(p, (wide, 7, 7)),
            nn.Flatten(),
        )
