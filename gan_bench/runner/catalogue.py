"""The registries as a matrix needs them when it expands."""

from __future__ import annotations

from gan_bench.core.errors import InputError
from gan_bench.core.matrix import RegularizedLoss
from gan_bench.core.training_spec import Recipe
from gan_bench.data.base import datasets
from gan_bench.losses.base import losses
from gan_bench.models.base import aliases, models, resolve_model
from gan_bench.penalties.base import penalty_parts


class Registries:
    """Implements `core.matrix.Catalogue`."""

    def model(self, name: str, image_size: int | None) -> tuple[str, type[Recipe], int]:
        """Return a model's registered name, its recipe class and its image size."""
        if name in losses and name not in {*models, *aliases()}:
            known = ", ".join(sorted({*models, *aliases()}))
            raise InputError(
                f"--models {name}: {name} is a loss; type --models {models.names()[0]} --losses {name} "
                f"(models: {known}, all)"
            )
        registered, model, size = resolve_model(name, image_size)
        return registered, model.recipe_type, size

    def loss(self, loss: str, penalty: str | None) -> RegularizedLoss:
        """Return a loss with a penalty, its own default where that is None; raise InputError if they don't fit."""
        kind = losses.get(loss)
        chosen = penalty or kind.default_penalty
        recipes = [kind.recipe_type, *(part.recipe_type for part in penalty_parts(chosen))]
        if kind.penalties is not None and chosen not in kind.penalties:
            fitting = " or ".join(kind.penalties)
            raise InputError(
                f"--penalties {chosen} with loss {loss}: it is only defined with {fitting}; "
                f"leave --penalties out, or run {loss} by itself with --penalties {kind.penalties[0]}"
            )
        return RegularizedLoss(loss, chosen, kind.overrides, tuple(recipes))

    def channels(self, dataset: str) -> int:
        """Return how many channels a data set's images have."""
        return datasets.get(dataset).channels

    def n_classes(self, model: str, dataset: str) -> int:
        """Return a data set's number of classes for a conditional model, and 0 for any other.

        Raises InputError for a conditional model and a data set without labels.
        """
        if not models.get(model).conditional:
            return 0
        n_classes = datasets.get(dataset).n_classes
        if not n_classes:
            labelled = ", ".join(name for name in datasets if datasets.get(name).n_classes)
            raise InputError(
                f"model {model!r} is conditional on classes, but data set {dataset!r} has no labels: "
                f"choose another model, or a data set with labels (a folder for each class, or {labelled})"
            )
        return n_classes

    def dataset_sha256(self, dataset: str) -> str:
        """Return the hash of a user's own images; empty for a data set that its name identifies."""
        return datasets.get(dataset).content_sha256
