"""The DCGAN of the TensorFlow tutorial, in PyTorch."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import nn

from gan_bench.core.option_fields import Rate
from gan_bench.core.training_spec import Recipe
from gan_bench.models.base import Model, models
from gan_bench.models.dropout import Dropout

SLOPE = 0.3
"""Keras' default for LeakyReLU."""
EPS, MOMENTUM = 1e-3, 0.01
"""Keras' defaults for BatchNormalization; its momentum of 0.99 is 0.01 in PyTorch's convention."""


class DCGAN28TFRecipe(Recipe):
    """Adam 1e-4 with Keras' default betas (0.9, 0.999), batch 256, z 100, 50 epochs, dropout 0.3."""

    lr_g: Rate = 1e-4
    lr_d: Rate = 1e-4
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.9
    batch_size: Annotated[int, Field(ge=1)] = 256
    epochs: int | None = 50
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.3


@models.register("dcgan28-tf")
class DCGAN28TF(Model):
    """Linear to 7x7x256, 5x5 transposed convolutions 128/1, 64/2, image/2; D: 5x5 convolutions 64/2, 128/2."""

    title = "DCGAN of the TensorFlow tutorial, 28x28"
    paper = "TensorFlow tutorial 'Deep Convolutional Generative Adversarial Network'"
    image_sizes = (28,)
    recipe_type = DCGAN28TFRecipe
    recipe: DCGAN28TFRecipe

    def generator(self) -> nn.Module:
        """Return noise [B, z_dim] -> images [B, C, 28, 28]."""
        first, second, third = (self.scaled(channels) for channels in (256, 128, 64))
        return nn.Sequential(
            nn.Linear(self.recipe.z_dim, first * 7 * 7, bias=False),
            nn.BatchNorm1d(first * 7 * 7, EPS, MOMENTUM),
            nn.LeakyReLU(SLOPE),
            nn.Unflatten(1, (first, 7, 7)),
            nn.ConvTranspose2d(first, second, 5, stride=1, padding=2, bias=False),
            nn.BatchNorm2d(second, EPS, MOMENTUM),
            nn.LeakyReLU(SLOPE),
            nn.ConvTranspose2d(second, third, 5, stride=2, padding=2, output_padding=1, bias=False),
            nn.BatchNorm2d(third, EPS, MOMENTUM),
            nn.LeakyReLU(SLOPE),
            nn.ConvTranspose2d(third, self.shape.channels, 5, stride=2, padding=2, output_padding=1, bias=False),
            nn.Tanh(),
        )

    def discriminator(self) -> nn.Module:
        """Return images [B, C, 28, 28] -> logits [B]."""
        narrow, wide, p = self.scaled(64), self.scaled(128), self.recipe.dropout
        return nn.Sequential(
            nn.Conv2d(self.shape.channels, narrow, 5, stride=2, padding=2),
            nn.LeakyReLU(SLOPE),
            Dropout(p, (narrow, 14, 14)),
            nn.Conv2d(narrow, wide, 5, stride=2, padding=2),
            nn.LeakyReLU(SLOPE),
            Dropout(p, (wide, 7, 7)),
            nn.Flatten(),
            nn.Linear(wide * 7 * 7, 1),
            nn.Flatten(0),
        )
