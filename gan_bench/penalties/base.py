"""Penalty: a regularizer of the discriminator that needs D and images."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, Protocol, TypeAlias

import torch
from torch import Tensor

from gan_bench.core.frozen import Frozen, validated_fields
from gan_bench.core.registry import Registry
from gan_bench.core.training_spec import NO_PENALTY, TrainingSpec

Discriminator: TypeAlias = Callable[[Tensor], Tensor]
"""D as a function of images [lanes, B, C, H, W] that returns logits [lanes, B]."""


class Rng(Protocol):
    """Random numbers for each lane, from the lane's own "penalty" stream."""

    def uniform(self, shape: tuple[int, ...]) -> Tensor:
        """Return numbers from U(0, 1), [lanes, *shape]."""

    def normal(self, shape: tuple[int, ...]) -> Tensor:
        """Return numbers from N(0, 1), [lanes, *shape]."""


class Penalty(ABC):
    """A term that is added to the loss of the discriminator."""

    title: ClassVar[str]
    paper: ClassVar[str]
    recipe_type: ClassVar[type[Frozen]] = Frozen
    """The penalty's recipe values; field names are unique among models, losses and penalties."""

    def __init__(self, recipe: Frozen | None = None) -> None:
        self.recipe = recipe if recipe is not None else self.recipe_type()

    @property
    def interval(self) -> int:
        """Apply the penalty every `interval`-th update of D, multiplied by `interval` (lazy, arXiv 1912.04958)."""
        return 1

    @abstractmethod
    def __call__(self, d: Discriminator, real: Tensor, fake: Tensor, rng: Rng) -> Tensor:
        """Return one value per lane, [lanes], differentiable with respect to D's parameters.

        `real` and `fake` are images [lanes, B, C, H, W] in [-1, 1] without a graph, in the parameters' dtype. A
        lane's value depends on that lane only.
        """


penalties: Registry[type[Penalty]] = Registry("penalty", "gan_bench.penalties", "gan_bench.penalties")


def build_penalty(spec: TrainingSpec) -> Penalty | None:
    """Return the penalty of a spec with its recipe values, or None for "none"."""
    if spec.penalty == NO_PENALTY:
        return None
    penalty = penalties.get(spec.penalty)
    return penalty(validated_fields(penalty.recipe_type, spec.settings, f"settings of penalty {spec.penalty}"))


def input_gradients(d: Discriminator, images: Tensor) -> Tensor:
    """Return the gradients of D's logits with respect to its input, [lanes, B, C, H, W], differentiable again."""
    images = images.detach().requires_grad_()
    (gradients,) = torch.autograd.grad(d(images).sum(), images, create_graph=True)
    return gradients
