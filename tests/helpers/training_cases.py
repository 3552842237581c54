"""Small specs and images for the trainer's tests."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from gan_bench.core.training_spec import NO_PENALTY, OWN_OPTIONS, TrainingSpec
from gan_bench.data.batch import Batch
from gan_bench.losses.base import losses
from gan_bench.models.base import resolve_model
from gan_bench.penalties.base import penalty_parts

CPU = torch.device("cpu")
N_CLASSES = 10


def small_spec(
    name: str,
    *,
    seed: int = 0,
    lr_g: float = 2e-4,
    lr_d: float = 2e-4,
    loss: str = "bce",
    penalty: str = NO_PENALTY,
    settings: Mapping[str, object] | None = None,
    **changes: object,
) -> TrainingSpec:
    """A narrow version of a registered model: every layer of it, little arithmetic."""
    name, model, size = resolve_model(name, None)
    asked = {"width": 0.0625, "z_dim": 12, **losses.get(loss).overrides, **(settings or {})}
    recipes = [model.recipe_type, losses.get(loss).recipe_type]
    recipes += [part.recipe_type for part in penalty_parts(penalty)]
    own: dict[str, object] = {}
    for recipe in recipes:
        own |= recipe(**{key: value for key, value in asked.items() if key in recipe.model_fields}).model_dump()
    values: dict[str, object] = {
        "model": name,
        "loss": loss,
        "penalty": penalty,
        "dataset": "synthetic",
        "image_size": size,
        "channels": 1,
        "n_classes": N_CLASSES if model.conditional else 0,
        "seed": seed,
        "lr_g": lr_g,
        "lr_d": lr_d,
        "batch_size": 8,
        "steps": 20,
        "settings": {key: value for key, value in own.items() if key not in OWN_OPTIONS},
    }
    return TrainingSpec(**{**values, **changes})


def random_images(size: int, count: int = 64, channels: int = 1) -> torch.Tensor:
    source = torch.Generator().manual_seed(7)
    return torch.randint(0, 256, (count, channels, size, size), generator=source, dtype=torch.uint8)


def random_batch(size: int, count: int = 64, channels: int = 1) -> Batch:
    """A training set with labels in another order than the images."""
    return Batch(random_images(size, count, channels), torch.arange(count) * 7 % N_CLASSES)
