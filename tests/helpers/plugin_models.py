"""Models as plugin authors write them: subclasses of nn.Module, with layers that have no batched counterpart."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, relu
from torch.nn.utils.parametrizations import spectral_norm

from gan_bench.losses.base import Loss
from gan_bench.models.base import Model
from gan_bench.models.dropout import Dropout


class ResidualGenerator(nn.Module):
    """BatchNorm, and a skip connection: vmap lifts it."""

    def __init__(self, z_dim: int, channels: int, size: int) -> None:
        super().__init__()
        self.shape = (channels, size, size)
        self.first = nn.Linear(z_dim, 16, bias=False)
        self.norm = nn.BatchNorm1d(16)
        self.inner = nn.Linear(16, 16)
        self.last = nn.Linear(16, channels * size * size)

    def forward(self, noise: Tensor) -> Tensor:
        hidden = relu(self.norm(self.first(noise)))
        return torch.tanh(self.last(hidden + self.inner(hidden))).unflatten(1, self.shape)


class SpectralDiscriminator(nn.Module):
    """Spectral normalization as PyTorch documents it; its power iteration can't be lifted by vmap."""

    def __init__(self, channels: int, size: int, dropout: float) -> None:
        super().__init__()
        self.conv = spectral_norm(nn.Conv2d(channels, 4, 4, stride=2, padding=1))
        self.dropout = Dropout(dropout, (4, size // 2, size // 2))
        self.linear = spectral_norm(nn.Linear(4 * (size // 2) ** 2, 1))

    def forward(self, images: Tensor) -> Tensor:
        hidden = self.dropout(leaky_relu(self.conv(images), 0.1))
        return self.linear(hidden.flatten(1)).squeeze(1)


class LayerNormDiscriminator(nn.Module):
    """LayerNorm, and a parameter and a buffer of its own."""

    def __init__(self, channels: int, size: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, 4, 4, stride=2, padding=1)
        self.norm = nn.LayerNorm([4, size // 2, size // 2])
        self.linear = nn.Linear(4 * (size // 2) ** 2, 1)
        self.scale = nn.Parameter(torch.full((), 0.5))
        self.unused = nn.Parameter(torch.ones(3))
        self.register_buffer("offset", torch.rand(()))

    def forward(self, images: Tensor) -> Tensor:
        hidden = leaky_relu(self.norm(self.conv(images)), 0.2)
        return self.scale * self.linear(hidden.flatten(1)).squeeze(1) + self.offset


class Plugin(Model):
    """Base: images of 28 x 28 by the residual generator."""

    title = "Plugin"
    paper = "none"
    image_sizes = (28,)

    def generator(self) -> nn.Module:
        return ResidualGenerator(self.recipe.z_dim, self.shape.channels, self.shape.size)


class SpectralPlugin(Plugin):
    def discriminator(self) -> nn.Module:
        return SpectralDiscriminator(self.shape.channels, self.shape.size, 0.3)


class LayerNormPlugin(Plugin):
    def discriminator(self) -> nn.Module:
        return LayerNormDiscriminator(self.shape.channels, self.shape.size)


class Relativistic(Loss):
    """A loss that uses real logits in the generator's update (arXiv 1807.00734)."""

    title = "Relativistic"
    paper = "arXiv 1807.00734"
    uses_real_in_generator = True

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        return nn.functional.softplus(fake_logits - real_logits).mean(-1)

    def generator(self, real_logits: Tensor | None, fake_logits: Tensor) -> Tensor:
        assert real_logits is not None
        return nn.functional.softplus(real_logits - fake_logits).mean(-1)


MODELS = {"test-spectral": SpectralPlugin, "test-layer-norm": LayerNormPlugin}
