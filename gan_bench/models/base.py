"""Model: a generator, a discriminator and their published recipe."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from gan_bench.core.errors import InputError, unknown
from gan_bench.core.frozen import validated_fields
from gan_bench.core.registry import Registry
from gan_bench.core.training_spec import DEFAULT_IMAGE_SIZE, Recipe, TrainingSpec


@dataclass(frozen=True)
class ImageShape:
    """Channels and side length in pixels of the images."""

    channels: int
    size: int

    @property
    def numel(self) -> int:
        """Number of values of one image."""
        return self.channels * self.size * self.size


class Model(ABC):
    """A pair of networks with their recipe. Subclasses set the class variables and build the two modules.

    The networks of a conditional model also take labels, int64 [B]: G(z, y) and D(x, y).

    Any `nn.Module` works. The recipe's `init` applies to linear, convolution and BatchNorm layers; everything else
    starts with the module's own values. `forward` draws no random numbers (for dropout in D, use
    `models.dropout.Dropout`), and linear and convolution layers before a BatchNorm have no bias.
    """

    title: ClassVar[str]
    paper: ClassVar[str]
    image_sizes: ClassVar[tuple[int, ...]]
    alias: ClassVar[str | None] = None
    """A name shared by several models; the image size selects one of them."""
    recipe_type: ClassVar[type[Recipe]] = Recipe
    conditional: ClassVar[bool] = False
    """Whether the networks take labels. Fakes get the labels of the real images of the same step."""

    def __init__(self, shape: ImageShape, recipe: Recipe, n_classes: int = 0) -> None:
        self.shape = shape
        self.recipe = recipe
        self.n_classes = n_classes
        """Classes of the data set, for a conditional model; 0 for any other."""

    @property
    def class_weight(self) -> float | None:
        """The weight of D's auxiliary classifier in both losses (AC-GAN, arXiv 1610.09585); None: it has none.

        With a classifier, D takes no labels and returns logits [B, 1 + n_classes]: real or fake, then the classes.
        """
        return None

    @abstractmethod
    def generator(self) -> nn.Module:
        """Return a module from noise [B, z_dim] to images [B, C, H, W] in [-1, 1]."""

    @abstractmethod
    def discriminator(self) -> nn.Module:
        """Return a module from images [B, C, H, W] to logits [B]; the sigmoid is part of the loss."""

    def scaled(self, channels: int) -> int:
        """Return a layer's number of channels or units at the recipe's width, at least 4."""
        return max(4, round(channels * self.recipe.width))


models: Registry[type[Model]] = Registry("model", "gan_bench.models", "gan_bench.models")


def resolve_model(name: str, image_size: int | None) -> tuple[str, type[Model], int]:
    """Return the registered name, the class and the image size for a name or an alias.

    Raises InputError for an unknown name, and for an image size that the model does not generate.
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
            sizes = ", ".join(map(str, sorted(family)))
            raise InputError(f"model {name!r} is not available at --image-size {wanted}: choose {sizes}")
        chosen = family[wanted]
    model = models.get(chosen)
    size = image_size or (DEFAULT_IMAGE_SIZE if DEFAULT_IMAGE_SIZE in model.image_sizes else model.image_sizes[0])
    if size not in model.image_sizes:
        others = [own for own in models if size in models.get(own).image_sizes]
        sizes = " or ".join(", ".join(map(str, model.image_sizes)).rsplit(", ", 1))
        fix = f", or choose one of {', '.join(others)}" if others else ""
        raise InputError(
            f"model {chosen!r} generates images of {sizes} pixels, not {size}: omit --image-size{fix}"
        )
    return chosen, model, size


def models_of_size(image_size: int | None, *, labels: bool = True) -> list[str]:
    """Return the models that generate images of a size, or all of them; conditional ones only with `labels`.

    Raises InputError where there is none.
    """
    found = [
        name
        for name, model in models.items()
        if (image_size is None or image_size in model.image_sizes) and (labels or not model.conditional)
    ]
    if not found:
        raise InputError(f"--image-size {image_size}: no model generates such images; type another size")
    return found


def members(alias: str) -> set[str]:
    """Return the models that share an alias, such as dcgan; empty for any other name."""
    return {name for name in models if models.get(name).alias == alias}


def aliases() -> set[str]:
    """Return the names that several models share."""
    return {alias for name in models if (alias := models.get(name).alias)}


def build_model(spec: TrainingSpec) -> Model:
    """Return the model of a spec, with its recipe values."""
    model = models.get(spec.model)
    recipe = validated_fields(model.recipe_type, spec.settings, f"settings of model {spec.model}")
    return model(ImageShape(spec.channels, spec.image_size), recipe, spec.n_classes)
