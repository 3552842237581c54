"""What a model is: a generator, a discriminator and the recipe they were published with."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from gan_bench.errors import InputError, unknown
from gan_bench.registry import Registry
from gan_bench.spec import DEFAULT_IMAGE_SIZE, Recipe, RunSpec, validated


@dataclass(frozen=True)
class ImageShape:
    """Channels and side length, in pixels, of the images that are made and judged."""

    channels: int
    size: int

    @property
    def numel(self) -> int:
        """How many values one image has."""
        return self.channels * self.size * self.size


class Model(ABC):
    """A pair of networks. Subclasses set the class variables and build the two modules.

    The modules hold structure only (the trainer owns every tensor and initialises it): they draw nothing
    at random in `forward`, take dropout masks from outside (see dropout.py), and have no bias before a
    BatchNorm.
    """

    title: ClassVar[str]
    paper: ClassVar[str]
    image_sizes: ClassVar[tuple[int, ...]]
    alias: ClassVar[str | None] = None
    """Several models may share an alias; the image size picks one of them."""
    recipe_type: ClassVar[type[Recipe]] = Recipe

    def __init__(self, shape: ImageShape, recipe: Recipe) -> None:
        self.shape = shape
        self.recipe = recipe

    @abstractmethod
    def generator(self) -> nn.Module:
        """Return a module from noise [B, z_dim] to images [B, C, H, W] in [-1, 1]."""

    @abstractmethod
    def discriminator(self) -> nn.Module:
        """Return a module from images [B, C, H, W] to logits [B]; the sigmoid lives in the loss."""

    def scaled(self, channels: int) -> int:
        """Return a layer's number of channels (or units) at the recipe's width; at least 4."""
        return max(4, round(channels * self.recipe.width))


models: Registry[type[Model]] = Registry("model", "gan_bench.models", "gan_bench.models")


def resolve_model(name: str, image_size: int | None) -> tuple[str, type[Model], int]:
    """Return the registered name, the class and the image size meant by a name or an alias.

    Raises InputError for a name that nothing carries and for an image size that the model does not make.
    """
    if name in models:
        chosen = name
    else:
        family = {
            size: own for own in models if models.get(own).alias == name for size in models.get(own).image_sizes
        }
        if not family:
            raise unknown("model", name, {*models, *aliases()})
        wanted = image_size or DEFAULT_IMAGE_SIZE
        if wanted not in family:
            raise InputError(f"model {name!r} at --image-size {wanted}: there is one for {sorted(family)} only")
        chosen = family[wanted]
    model = models.get(chosen)
    size = image_size or (DEFAULT_IMAGE_SIZE if DEFAULT_IMAGE_SIZE in model.image_sizes else model.image_sizes[0])
    if size not in model.image_sizes:
        others = [own for own in models if size in models.get(own).image_sizes]
        raise InputError(
            f"model {chosen!r} makes images of {' or '.join(map(str, model.image_sizes))} pixels, not {size}: "
            f"leave --image-size out, or choose among {', '.join(others)}"
        )
    return chosen, model, size


def aliases() -> dict[str, list[str]]:
    """Return every alias with the names of the models that share it."""
    found: dict[str, list[str]] = {}
    for name in models:
        alias = models.get(name).alias
        if alias:
            found.setdefault(alias, []).append(name)
    return found


def build_model(spec: RunSpec) -> Model:
    """Return the model that a spec describes, with the spec's recipe values."""
    model = models.get(spec.model)
    recipe = validated(model.recipe_type, spec.settings, f"settings of {spec.model}")
    return model(ImageShape(spec.channels, spec.image_size), recipe)
