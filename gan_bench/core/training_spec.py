"""TrainingSpec: the frozen, hashable description of one training. Recipe: a model's published defaults."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, ValidationInfo, field_validator

from gan_bench.core.errors import InputError
from gan_bench.core.frozen import (
    Frozen,
    Key,
    Name,
    PenaltyName,
    Precision,
    Scalar,
    canonical_json,
    sha256_hex,
)
from gan_bench.core.option_fields import Count, Rate, Seed

DEFAULT_IMAGE_SIZE = 28
MAX_IMAGE_SIZE = 1024
MAX_CLASSES = 10_000
NO_PENALTY = "none"
NOTABLE_DROP = 0.05
"""Share of the training images that an epoch leaves out, from which on it is said."""


class Recipe(Frozen):
    """A model's published defaults; a model with more values subclasses it. Every value can be set by `--set`.

    `width` scales the number of channels (or hidden units) of every layer. Exactly one of `epochs` and `steps`
    gives the published training length.
    """

    model_config = ConfigDict(allow_inf_nan=False)

    loss: str = "bce"
    lr_g: Rate = 2e-4
    lr_d: Rate = 2e-4
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.5
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.999
    batch_size: Count = 128
    epochs: Count | None = None
    steps: Count | None = None
    d_steps: Annotated[int, Field(ge=1, le=100)] = 1
    """Discriminator updates per generator update, each on its own batch of real and fake images."""
    z_dim: Annotated[int, Field(ge=1, le=4096)] = 100
    noise: Literal["normal", "uniform"] = "normal"
    init: Literal["dcgan", "he"] = "dcgan"
    """Initial weights: N(0, 0.02) as in DCGAN, or N(0, 2 / fan-in) (He et al., arXiv 1502.01852)."""
    width: Annotated[float, Field(gt=0, le=16)] = 1.0

    @field_validator("*", mode="before")
    @classmethod
    def _no_boolean_for_a_number(cls, value: object, info: ValidationInfo) -> object:
        """Reject true and false for numbers, which Python would take for 1 and 0."""
        if isinstance(value, bool) and cls.model_fields[info.field_name or ""].annotation is not bool:
            raise ValueError("true and false are not numbers")
        return value


OWN_OPTIONS = ("loss", "lr_g", "lr_d", "batch_size", "epochs", "steps")
"""Recipe values that are fields of TrainingSpec, with command-line options of their own."""


class TrainingSpec(Frozen):
    """The frozen, hashable description of one training; its hash is part of the run id."""

    model_config = ConfigDict(allow_inf_nan=False)

    model: Name
    loss: Name
    penalty: PenaltyName = NO_PENALTY
    dataset: Name
    dataset_sha256: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")] = ""
    """Hash of the images, for a user's own; empty for a data set that its name identifies."""
    image_size: Annotated[int, Field(ge=1, le=MAX_IMAGE_SIZE)]
    channels: Literal[1, 3]
    n_classes: Annotated[int, Field(ge=0, le=MAX_CLASSES)] = 0
    """Classes of the data set, for a conditional model; 0 for any other."""
    seed: Seed
    lr_g: Rate
    lr_d: Rate
    batch_size: Count
    epochs: Count | None = None
    steps: Count | None = None
    precision: Precision = "fp32"
    settings: Annotated[dict[Key, Scalar], Field(max_length=200)]
    """All other recipe values of the model, the loss and the penalty: beta1, beta2, d_steps, z_dim, width, ..."""

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> TrainingSpec:
        """Return a copy with other values, whose hash and ids are computed anew."""
        copied = super().model_copy(update=update, deep=deep)
        for name in ("sha256", "run_id", "group_key"):
            copied.__dict__.pop(name, None)
        return copied

    def canonical(self) -> str:
        """Return the spec as JSON with sorted keys: equal specs give equal text."""
        without = {name for name in ("dataset_sha256", "n_classes") if not getattr(self, name)}
        return canonical_json(self.model_dump(mode="json", exclude=without))

    @functools.cached_property
    def sha256(self) -> str:
        """The hash of the canonical JSON, in hex."""
        return sha256_hex(self.canonical())

    @functools.cached_property
    def run_id(self) -> str:
        """A readable slug and the first 10 hex digits of the hash: a safe file name of at most 64 characters."""
        rates = f"{self.lr_g:g}" if self.lr_g == self.lr_d else f"{self.lr_g:g}-{self.lr_d:g}"
        penalty = "" if self.penalty == NO_PENALTY else f"-{self.penalty}"
        slug = f"{self.model}-{self.loss}{penalty}-{self.dataset}{self.image_size}-lr{rates}-s{self.seed}"
        slug = re.sub(r"[^a-z0-9._-]", "", slug.lower()).lstrip("._-")
        return f"{slug[:53]}-{self.sha256[:10]}"

    @functools.cached_property
    def group_key(self) -> str:
        """Runs with equal keys differ only in seed and learning rates: they can be lanes of one program."""
        return canonical_json(self.model_dump(mode="json", exclude={"seed", "lr_g", "lr_d"}))

    @property
    def label(self) -> str:
        """Short name without the seed: the model, `/loss` unless it is bce, and `+penalty` if there is one."""
        loss = "" if self.loss == "bce" else f"/{self.loss}"
        return f"{self.model}{loss}" + ("" if self.penalty == NO_PENALTY else f"+{self.penalty}")

    @property
    def images_per_step(self) -> int:
        """Training images that one update of G takes, with its updates of D."""
        return self.batch_size * int(self.settings.get("d_steps", 1))

    def steps_per_epoch(self, train_images: int) -> int:
        """Return the generator updates of one pass over that many images; raise InputError where there are none.

        Each step takes `d_steps` batches, and the remainder is dropped.
        """
        d_steps = int(self.settings.get("d_steps", 1))
        if self.batch_size * d_steps > train_images:
            per_step = f" (a step takes {d_steps} batches)" if d_steps > 1 else ""
            raise InputError(
                f"--batch-size {self.batch_size}: {self.dataset} has {train_images} training images{per_step}; "
                f"choose at most {train_images // d_steps}"
            )
        return train_images // (self.batch_size * d_steps)

    def dropped_images(self, train_images: int) -> int:
        """Return how many training images an epoch leaves out, because they do not fill a step's batches.

        Each epoch has another order, and leaves out others.
        """
        return train_images % self.images_per_step

    def total_steps(self, train_images: int) -> int:
        """Return the number of generator updates on a training set of that many images."""
        return self.steps or (self.epochs or 1) * self.steps_per_epoch(train_images)

    def __hash__(self) -> int:
        return hash(self.sha256)
