"""The all-convolutional DCGAN of the paper, at 64x64 and one level shallower at 32x32."""

from __future__ import annotations

import itertools
from typing import ClassVar

from torch import nn

from gan_bench.core.training_spec import Recipe
from gan_bench.models.base import Model, models


class DCGAN(Model):
    """4x4/2 (transposed) convolutions, BatchNorm except at the images; ReLU in G, LeakyReLU(0.2) in D."""

    paper = "arXiv 1511.06434"
    alias = "dcgan"
    g_channels: ClassVar[tuple[int, ...]]
    d_channels: ClassVar[tuple[int, ...]]

    def generator(self) -> nn.Module:
        """Return noise [B, z_dim] -> images [B, C, H, W]; the projection to 4x4 is a matrix product."""
        widths = [self.scaled(channels) for channels in self.g_channels]
        layers: list[nn.Module] = [
            nn.Linear(self.recipe.z_dim, widths[0] * 4 * 4, bias=False),
            nn.Unflatten(1, (widths[0], 4, 4)),
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

    def discriminator(self) -> nn.Module:
        """Return images [B, C, H, W] -> logits [B]."""
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
        layers += [nn.Conv2d(widths[-1], 1, 4), nn.Flatten(0)]
        return nn.Sequential(*layers)


class DCGAN32Recipe(Recipe):
    """Adam 2e-4, beta1 0.5, batch 128, 150,000 steps."""

    steps: int | None = 150_000


@models.register("dcgan32")
class DCGAN32(DCGAN):
    """4x4x512, 256, 128, image at 32x32; D: 64, 128, 256, logit."""

    title = "DCGAN, 32x32"
    image_sizes = (32,)
    recipe_type = DCGAN32Recipe
    g_channels = (512, 256, 128)
    d_channels = (64, 128, 256)


class DCGAN64Recipe(Recipe):
    """Adam 2e-4, beta1 0.5, batch 128, z 100, 30 epochs."""

    epochs: int | None = 30


@models.register("dcgan64")
class DCGAN64(DCGAN):
    """4x4x1024, 512, 256, 128, image at 64x64; D: 64, 128, 256, 512, logit."""

    title = "DCGAN of the paper, 64x64"
    image_sizes = (64,)
    recipe_type = DCGAN64Recipe
    g_channels = (1024, 512, 256, 128)
    d_channels = (64, 128, 256, 512)
