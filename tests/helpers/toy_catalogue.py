"""A catalogue without registries, for tests of matrices and specs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gan_bench.core.errors import InputError
from gan_bench.core.frozen import Frozen, Scalar
from gan_bench.core.matrix import Matrix, RegularizedLoss
from gan_bench.core.training_spec import NO_PENALTY, Recipe, TrainingSpec


class WideRecipe(Recipe):
    """A recipe with a value of its own and another default loss."""

    loss: str = "hinge"
    dropout: float = 0.3


class MarginRecipe(Frozen):
    """Recipe values of the loss `margin`."""

    margin: float = 1.0


class R1Recipe(Frozen):
    """Recipe values of the penalty `r1`."""

    r1_weight: float = 10.0


class GradientPenaltyRecipe(Frozen):
    """Recipe values of the penalty `gp`."""

    gp_weight: float = 10.0


LOSSES: Mapping[str, tuple[Mapping[str, Scalar], tuple[type[Frozen], ...], str, tuple[str, ...] | None]] = {
    "bce": ({}, (), NO_PENALTY, None),
    "hinge": ({}, (), NO_PENALTY, None),
    "margin": ({}, (MarginRecipe,), NO_PENALTY, None),
    "wasserstein": ({"d_steps": 5, "beta1": 0.0, "lr_d": 1e-4}, (), "gp", ("gp",)),
}
"""Per loss: values of the model's recipe, own recipes, the default penalty, and the penalties that fit."""
PENALTIES: Mapping[str, tuple[type[Frozen], ...]] = {
    NO_PENALTY: (),
    "r1": (R1Recipe,),
    "gp": (GradientPenaltyRecipe,),
}


class ToyCatalogue:
    """Two models, `plain` and `wide` (with `dropout`), four losses and two penalties."""

    def model(self, name: str, image_size: int | None) -> tuple[str, type[Recipe], int]:
        """Return a model's name, its recipe class and its image size."""
        recipes: dict[str, type[Recipe]] = {"plain": Recipe, "wide": WideRecipe}
        if name not in recipes:
            raise InputError(f"unknown model {name!r}")
        return name, recipes[name], image_size or 28

    def loss(self, loss: str, penalty: str | None) -> RegularizedLoss:
        """Return a loss with a penalty, or with its default penalty."""
        overrides, recipes, default, fitting = LOSSES[loss]
        chosen = penalty or default
        if fitting is not None and chosen not in fitting:
            raise InputError(f"--penalties {chosen} with loss {loss}")
        return RegularizedLoss(loss, chosen, overrides, (*recipes, *PENALTIES[chosen]))

    def channels(self, dataset: str) -> int:
        """Return 3 for `colors`, else 1."""
        return 3 if dataset == "colors" else 1

    def n_classes(self, model: str, dataset: str) -> int:
        return 0

    def dataset_sha256(self, dataset: str) -> str:
        """Return a hash for `own`, a user's images."""
        return "ab" * 32 if dataset == "own" else ""


def expand(**values: Any) -> list[TrainingSpec]:
    """Expand a matrix of one epoch, of the model `plain` unless `models` says otherwise."""
    return Matrix(**{"models": ("plain",), "epochs": 1, **values}).expand(ToyCatalogue())
