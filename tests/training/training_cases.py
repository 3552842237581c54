"""Small specs and images for the trainer's tests."""

from __future__ import annotations

import torch

from gan_bench.models.model import resolve_model
from gan_bench.spec import OWN_OPTIONS, Evaluation, RunSpec

CPU = torch.device("cpu")


def small_spec(name: str, *, seed: int = 0, lr_g: float = 2e-4, lr_d: float = 2e-4, **changes: object) -> RunSpec:
    """A narrow version of a registered model: every layer of it, little arithmetic."""
    name, model, size = resolve_model(name, None)
    recipe = model.recipe_type(width=0.0625, z_dim=12).model_dump()
    values: dict[str, object] = {
        "model": name,
        "loss": "bce",
        "dataset": "synthetic",
        "image_size": size,
        "channels": 1,
        "seed": seed,
        "lr_g": lr_g,
        "lr_d": lr_d,
        "batch_size": 8,
        "steps": 20,
        "settings": {key: value for key, value in recipe.items() if key not in OWN_OPTIONS},
        "evaluation": Evaluation(),
    }
    return RunSpec(**{**values, **changes})


def random_images(size: int, count: int = 64, channels: int = 1) -> torch.Tensor:
    source = torch.Generator().manual_seed(7)
    return torch.randint(0, 256, (count, channels, size, size), generator=source, dtype=torch.uint8)
