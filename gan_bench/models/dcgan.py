"""The all-convolutional DCGAN of the paper at 64x64, and with other numbers of levels from 32x32 to 128x128."""

from __future__ import annotations

import itertools
from typing import ClassVar

from torch import nn

from gan_bench.core.training_spec import Recipe
from gan_bench.models.base import Model, models


class DCGAN(Model):
    """4x4/2 (transposed) convolutions, BatchNorm except at the images; ReLU in G, LeakyReLU(0.2) in D.

    Each entry of the channels is a level; sides double from level to level.
    """

    paper = "arXiv 1511.06434"
    alias = "dcgan"
    g_channels: ClassVar[tuple[int, ...]]
    d_channels: ClassVar[tuple[int, ...]]

    @property
    def smallest(self) -> int:
        """Height and width of the first level: 4, or 6 at 48x48."""
        return self.shape.size >> len(self.g_channels)

    def generator(self) -> nn.Module:
        """Return noise [B, z_dim] -> images [B, C, H, W]."""
        return self.transposed_convolutions(self.recipe.z_dim)

    def discriminator(self) -> nn.Module:
        """Return images [B, C, H, W] -> logits [B]."""
        features = self.convolutions()
        return nn.Sequential(
            *features, nn.Conv2d(self.scaled(self.d_channels[-1]), 1, self.smallest), nn.Flatten(0)
        )

    def transposed_convolutions(self, inputs: int) -> nn.Sequential:
        """Return vectors [B, inputs] -> images [B, C, H, W]; the projection to the first level is a product."""
        widths = [self.scaled(channels) for channels in self.g_channels]
        side = self.smallest
        layers: list[nn.Module] = [
            nn.Linear(inputs, widths[0] * side * side, bias=False),
            nn.Unflatten(1, (widths[0], side, side)),
            nn.BatchNorm2d(widths[0]),
            nn.ReLU(),
        ]
        for before, after in itertools.pairwise(widths):
            layers += [
                nn.ConvTranspose2d(before, after, 4, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(),
            ]
        layers += [nn.ConvTranspose2d(widths[-1], self.shape.channels, 4, stride=2, padding=1), nn.Tanh()]
        return nn.Sequential(*layers)

    def convolutions(self) -> nn.Sequential:
        """Return images [B, C, H, W] -> the last level's activations."""
        widths = [self.scaled(channels) for channels in self.d_channels]
        layers: list[nn.Module] = [
            nn.Conv2d(self.shape.channels, widths[0], 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
        ]
        for before, after in itertools.pairwise(widths):
            layers += [
                nn.Conv2d(before, after, 4, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(after),
                nn.LeakyReLU(0.2),
            ]
        return nn.Sequential(*layers)


class DCGAN32Recipe(Recipe):
    """Adam 2e-4, beta1 0.5, batch 128, 150,000 steps."""

    steps: int | None = 150_000


class DCGAN64Recipe(Recipe):
    """Adam 2e-4, beta1 0.5, batch 128, z 100, 30 epochs."""

    epochs: int | None = 30


@models.register("dcgan32")
class DCGAN32(DCGAN):
    """4x4x512, 256, 128, image at 32x32; D: 64, 128, 256, logit."""

    title = "DCGAN, 32x32"
    image_sizes = (32,)
    recipe_type = DCGAN32Recipe
    g_channels = (512, 256, 128)
    d_channels = (64, 128, 256)


@models.register("dcgan48")
class DCGAN48(DCGAN):
    """6x6x512, 256, 128, image at 48x48; D: 64, 128, 256, logit."""

    title = "DCGAN, 48x48"
    paper = "arXiv 1511.06434, levels of 6, 12 and 24 pixels"
    image_sizes = (48,)
    recipe_type = DCGAN32Recipe
    g_channels = (512, 256, 128)
    d_channels = (64, 128, 256)


@models.register("dcgan64")
class DCGAN64(DCGAN):
    """4x4x1024, 512, 256, 128, image at 64x64; D: 64, 128, 256, 512, logit."""

    title = "DCGAN of the paper, 64x64"
    image_sizes = (64,)
    recipe_type = DCGAN64Recipe
    g_channels = (1024, 512, 256, 128)
    d_channels = (64, 128, 256, 512)


@models.register("dcgan128")
class DCGAN128(DCGAN):
    """4x4x1024, 512, 256, 128, 64, image at 128x128; D: 64, 128, 256, 512, 1024, logit."""

    title = "DCGAN, 128x128"
    paper = "arXiv 1511.06434, one level more"
    image_sizes = (128,)
    recipe_type = DCGAN64Recipe
    g_channels = (1024, 512, 256, 128, 64)
    d_channels = (64, 128, 256, 512, 1024)
