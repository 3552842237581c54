"""Penalty: a regularizer of the discriminator that needs D and images."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar, Protocol, TypeAlias

import torch
from torch import Tensor

from gan_bench.core.errors import InputError, unknown
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


class PenaltySum(Penalty):
    """The sum of several penalties, such as `r1+r2`; all have the same interval."""

    title = "Sum of penalties"
    paper = ""

    def __init__(self, parts: Sequence[Penalty]) -> None:
        super().__init__()
        self.parts = tuple(parts)
        intervals = sorted({part.interval for part in parts})
        if len(intervals) > 1:
            raise InputError(
                f"penalties that are added need one interval, not {' and '.join(map(str, intervals))}: "
                f"set the same interval for each, such as --set r1_interval=16 --set r2_interval=16"
            )

    @property
    def interval(self) -> int:
        """The interval of every part."""
        return self.parts[0].interval

    def __call__(self, d: Discriminator, real: Tensor, fake: Tensor, rng: Rng) -> Tensor:
        """Return one value per lane, [lanes]."""
        first, *others = [part(d, real, fake, rng) for part in self.parts]
        return sum(others, first)


def penalty_parts(name: str) -> list[type[Penalty]]:
    """Return the registered penalties that a name stands for: none, one, or those joined by `+`.

    Raises InputError for unknown names, and for a penalty that is added to itself.
    """
    if name == NO_PENALTY:
        return []
    names = name.split("+")
    for part in names:
        if part not in penalties:
            raise unknown("penalty", part, [NO_PENALTY, *penalties])
        if names.count(part) > 1:
            raise InputError(f"penalty {name}: {part} is named twice; set its weight instead")
    return [penalties.get(part) for part in names]


def build_penalty(spec: TrainingSpec) -> Penalty | None:
    """Return the penalty of a spec with its recipe values, or None for "none"."""
    built = [
        kind(validated_fields(kind.recipe_type, spec.settings, f"settings of penalty {spec.penalty}"))
        for kind in penalty_parts(spec.penalty)
    ]
    return PenaltySum(built) if len(built) > 1 else next(iter(built), None)


def input_gradients(d: Discriminator, images: Tensor) -> Tensor:
    """Return the gradients of D's logits with respect to its input, [lanes, B, C, H, W], differentiable again."""
    images = images.detach().requires_grad_()
    (gradients,) = torch.autograd.grad(d(images).sum(), images, create_graph=True)
    return gradients
