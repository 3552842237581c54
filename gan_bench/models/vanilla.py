"""The vanilla GAN: two multilayer perceptrons."""

from __future__ import annotations

import itertools
from typing import Annotated, Literal

from pydantic import Field
from torch import nn

from gan_bench.core.training_spec import Recipe
from gan_bench.models.base import Model, models
from gan_bench.models.dropout import Dropout


class VanillaRecipe(Recipe):
    """Adam 2e-4, beta1 0.5, 50 epochs; dropout between the discriminator's layers.

    Weights start from N(0, 2 / fan-in): the GAN paper gives no scale, and without BatchNorm DCGAN's 0.02 makes the
    generator so weak that the discriminator wins at once and only one or two classes are generated.
    """

    init: Literal["dcgan", "he"] = "he"

    epochs: int | None = 50
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.3


@models.register("vanilla")
class Vanilla(Model):
    """Linear layers of 256, 512, 1024 units with LeakyReLU(0.2), mirrored in D (arXiv 1406.2661)."""

    title = "Vanilla GAN (multilayer perceptrons)"
    paper = "arXiv 1406.2661"
    image_sizes = (28, 32, 64)
    recipe_type = VanillaRecipe
    recipe: VanillaRecipe

    def generator(self) -> nn.Module:
        """Return noise [B, z_dim] -> images [B, C, H, W]."""
        widths = [self.recipe.z_dim, *(self.scaled(units) for units in (256, 512, 1024))]
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(widths):
            layers += [nn.Linear(before, after), nn.LeakyReLU(0.2)]
        image = (self.shape.channels, self.shape.size, self.shape.size)
        return nn.Sequential(*layers, nn.Linear(widths[-1], self.shape.numel), nn.Tanh(), nn.Unflatten(1, image))

    def discriminator(self) -> nn.Module:
        """Return images [B, C, H, W] -> logits [B]."""
        widths = [self.shape.numel, *(self.scaled(units) for units in (1024, 512, 256))]
        layers: list[nn.Module] = [nn.Flatten()]
        for before, after in itertools.pairwise(widths):
            layers += [nn.Linear(before, after), nn.LeakyReLU(0.2), Dropout(self.recipe.dropout, (after,))]
        return nn.Sequential(*layers, nn.Linear(widths[-1], 1), nn.Flatten(0))
