"""What a loss is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor

from gan_bench.registry import Registry


class Loss(ABC):
    """Two functions of logits [..., B] to one value per lane [...]: the mean over the last axis."""

    title: ClassVar[str]
    paper: ClassVar[str]

    @abstractmethod
    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """Return what the discriminator minimises, [...], for logits [..., B] of real and of fake images."""

    @abstractmethod
    def generator(self, fake_logits: Tensor) -> Tensor:
        """Return what the generator minimises, [...], for logits [..., B] of fake images."""


losses: Registry[type[Loss]] = Registry("loss", "gan_bench.losses", "gan_bench.losses")
