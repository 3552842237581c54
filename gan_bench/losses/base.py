"""Loss: the objectives of both networks, as functions of logits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor

from gan_bench.core.frozen import Frozen, Scalar, validated_fields
from gan_bench.core.registry import Registry
from gan_bench.core.training_spec import NO_PENALTY, TrainingSpec


class Loss(ABC):
    """Two functions of logits [..., B] that return one value per lane, [...]: means over the last axis.

    Logits have the dtype of the parameters. Everything but `title` and `paper` has a default.
    """

    title: ClassVar[str]
    paper: ClassVar[str]
    overrides: ClassVar[Mapping[str, Scalar]] = {}
    """Values of the model's recipe that the loss was published with, such as d_steps; `--set` wins over them."""
    recipe_type: ClassVar[type[Frozen]] = Frozen
    """The loss's own recipe values; field names are unique among models, losses and penalties."""
    default_penalty: ClassVar[str] = NO_PENALTY
    """The penalty used where the user names none."""
    penalties: ClassVar[tuple[str, ...] | None] = None
    """Names of the penalties that fit the loss; None: any."""
    uses_real_in_generator: ClassVar[bool] = False
    """Whether `generator` needs logits of real images: one more forward of D per step."""
    decision_boundary: ClassVar[float] = 0.0
    """The logit above which an image counts as real in the accuracy of D."""

    def __init__(self, recipe: Frozen | None = None) -> None:
        self.recipe = recipe if recipe is not None else self.recipe_type()

    @property
    def weight_limit(self) -> float | None:
        """Clip every parameter of D to [-weight_limit, weight_limit] after each of its updates; None: don't."""
        return None

    @abstractmethod
    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """Return the loss of the discriminator, [...], for logits [..., B] of real and of fake images."""

    @abstractmethod
    def generator(self, real_logits: Tensor | None, fake_logits: Tensor) -> Tensor:
        """Return the loss of the generator, [...], for logits [..., B] of the updated discriminator.

        `real_logits` belong to the real images of the discriminator's update; they are None unless
        `uses_real_in_generator`.
        """


losses: Registry[type[Loss]] = Registry("loss", "gan_bench.losses", "gan_bench.losses")


def build_loss(spec: TrainingSpec) -> Loss:
    """Return the loss of a spec, with its recipe values."""
    loss = losses.get(spec.loss)
    return loss(validated_fields(loss.recipe_type, spec.settings, f"settings of loss {spec.loss}"))
