"""The conditional GAN of Mirza and Osindero: two multilayer perceptrons that also get the label."""

from __future__ import annotations

import itertools
from typing import Annotated, Literal

from pydantic import Field
from torch import nn

from gan_bench.core.training_spec import Recipe
from gan_bench.models.base import Model, models
from gan_bench.models.conditional import ClassEmbedding, LabelledInput
from gan_bench.models.dropout import Dropout


class CGANRecipe(Recipe):
    """Adam 2e-4, beta1 0.5, 50 epochs; dropout between the discriminator's layers.

    Weights start from N(0, 2 / fan-in), as those of `vanilla`.
    """

    init: Literal["dcgan", "he"] = "he"
    epochs: int | None = 50
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.3
    embedding_dim: Annotated[int, Field(ge=1, le=4096)] = 50
    """Numbers that stand for a class in both networks."""


@models.register("cgan")
class CGAN(Model):
    """Linear layers of 256, 512, 1024 units with LeakyReLU(0.2), mirrored in D; the label joins both inputs."""

    title = "Conditional GAN (multilayer perceptrons)"
    paper = "arXiv 1411.1784"
    image_sizes = (28, 32, 64)
    conditional = True
    recipe_type = CGANRecipe
    recipe: CGANRecipe

    def generator(self) -> nn.Module:
        """Return noise [B, z_dim], labels [B] -> images [B, C, H, W]."""
        embedding = ClassEmbedding(self.n_classes, self.recipe.embedding_dim)
        widths = [
            self.recipe.z_dim + self.recipe.embedding_dim,
            *(self.scaled(units) for units in (256, 512, 1024)),
        ]
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(widths):
            layers += [nn.Linear(before, after), nn.LeakyReLU(0.2)]
        image = (self.shape.channels, self.shape.size, self.shape.size)
        layers += [nn.Linear(widths[-1], self.shape.numel), nn.Tanh(), nn.Unflatten(1, image)]
        return LabelledInput(nn.Identity(), embedding, nn.Sequential(*layers))

    def discriminator(self) -> nn.Module:
        """Return images [B, C, H, W], labels [B] -> logits [B]."""
        embedding = ClassEmbedding(self.n_classes, self.recipe.embedding_dim)
        widths = [
            self.shape.numel + self.recipe.embedding_dim,
            *(self.scaled(units) for units in (1024, 512, 256)),
        ]
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(widths):
            layers += [nn.Linear(before, after), nn.LeakyReLU(0.2), Dropout(self.recipe.dropout, (after,))]
        layers += [nn.Linear(widths[-1], 1), nn.Flatten(0)]
        return LabelledInput(nn.Flatten(), embedding, nn.Sequential(*layers))
