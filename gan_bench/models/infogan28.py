"""The networks of InfoGAN for MNIST, as "Are GANs Created Equal?" compares losses on them; without its codes."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from gan_bench.core.training_spec import Recipe
from gan_bench.models.base import Model, models


class SigmoidImages(nn.Module):
    """2 sigmoid(x) - 1: the paper's images are in [0, 1] and end with a sigmoid, these are in [-1, 1]."""

    def forward(self, x: Tensor) -> Tensor:
        """Return images in [-1, 1]."""
        return torch.tanh(x / 2)


class InfoGAN28Recipe(Recipe):
    """Adam 2e-4, beta1 0.5, batch 64, z 64 from U(-1, 1), 20 epochs."""

    batch_size: int = 64
    epochs: int | None = 20
    z_dim: int = 64
    noise: Literal["normal", "uniform"] = "uniform"


@models.register("infogan28")
class InfoGAN28(Model):
    """G: 1024, 7x7x128, 14x14x64, image; D: 14x14x64, 7x7x128, 1024, logit; BatchNorm inside."""

    title = "Networks of InfoGAN, 28x28"
    paper = "arXiv 1606.03657, as compared in arXiv 1711.10337"
    image_sizes = (28,)
    recipe_type = InfoGAN28Recipe

    def generator(self) -> nn.Module:
        """Return noise [B, z_dim] -> images [B, C, 28, 28]."""
        wide, narrow, units = self.scaled(128), self.scaled(64), self.scaled(1024)
        return nn.Sequential(
            nn.Linear(self.recipe.z_dim, units, bias=False),
            nn.BatchNorm1d(units),
            nn.ReLU(),
            nn.Linear(units, wide * 7 * 7, bias=False),
            nn.BatchNorm1d(wide * 7 * 7),
            nn.ReLU(),
            nn.Unflatten(1, (wide, 7, 7)),
            nn.ConvTranspose2d(wide, narrow, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(narrow),
            nn.ReLU(),
            nn.ConvTranspose2d(narrow, self.shape.channels, 4, stride=2, padding=1),
            SigmoidImages(),
        )

    def discriminator(self) -> nn.Module:
        """Return images [B, C, 28, 28] -> logits [B]."""
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
            nn.Linear(units, 1),
            nn.Flatten(0),
        )
