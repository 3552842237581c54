"""What is asked for: a Matrix expands to RunSpecs, each a frozen, hashable description of one training."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Protocol, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gan_bench.errors import InputError, unknown

Scalar: TypeAlias = bool | int | float | str
Rates: TypeAlias = tuple[float, float]
Precision: TypeAlias = Literal["fp32", "tf32", "bf16"]

Rate = Annotated[float, Field(gt=0, lt=10, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]

IMAGE_SIZES = (28, 32, 64)
DEFAULT_IMAGE_SIZE = 28


class Frozen(BaseModel):
    """A validated value that never changes; unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class Recipe(Frozen):
    """A model's published defaults; a model with more knobs subclasses it. Every value is open to `--set`.

    `width` scales the number of channels (or hidden units) of every layer. Exactly one of `epochs` and
    `steps` says how long the published training is.
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
    z_dim: Annotated[int, Field(ge=1, le=4096)] = 100
    noise: Literal["normal", "uniform"] = "normal"
    width: Annotated[float, Field(gt=0, le=16)] = 1.0


OWN_OPTIONS = ("loss", "lr_g", "lr_d", "batch_size", "epochs", "steps")
"""Recipe values that have a field of their own in RunSpec (and an option of their own in the CLI)."""


class Evaluation(Frozen):
    """What is measured of a run: metrics, extractors, how many samples, and how often."""

    metrics: tuple[str, ...] = ("fid", "is", "kid", "prc", "modes")
    extractors: tuple[str, ...] = ("mnist-cnn",)
    samples: Annotated[int, Field(ge=16)] = 10_000
    every: Count | None = None
    """Evaluate after every so many epochs as well as at the end; None: only at the end."""


class RunSpec(Frozen):
    """The frozen, hashable description of one training and of how it is scored."""

    model_config = ConfigDict(allow_inf_nan=False)

    model: str
    loss: str
    dataset: str
    image_size: Count
    channels: Literal[1, 3]
    seed: Seed
    lr_g: Rate
    lr_d: Rate
    batch_size: Count
    epochs: Count | None = None
    steps: Count | None = None
    precision: Precision = "fp32"
    settings: dict[str, Scalar]
    """The rest of the model's recipe: beta1, beta2, z_dim, noise, width, and what the model adds."""
    evaluation: Evaluation

    def canonical(self) -> str:
        """Return the spec as JSON with sorted keys: equal specs give equal text."""
        return _canonical(self.model_dump(mode="json"))

    @property
    def sha256(self) -> str:
        """The hash of the canonical JSON, in hex."""
        return hashlib.sha256(self.canonical().encode()).hexdigest()

    @property
    def run_id(self) -> str:
        """A readable slug and the first 10 digits of the hash: a safe file name of at most 64 characters."""
        rates = f"{self.lr_g:g}" if self.lr_g == self.lr_d else f"{self.lr_g:g}-{self.lr_d:g}"
        slug = f"{self.model}-{self.loss}-{self.dataset}{self.image_size}-lr{rates}-s{self.seed}"
        slug = re.sub(r"[^a-z0-9._-]", "", slug.lower()).lstrip("._-")
        return f"{slug[:53]}-{self.sha256[:10]}"

    @property
    def group_key(self) -> str:
        """Runs with equal keys differ only in seed and learning rates: they can be lanes of one program."""
        return _canonical(self.model_dump(mode="json", exclude={"seed", "lr_g", "lr_d"}))

    @property
    def label(self) -> str:
        """What a person calls this training, seed apart: model, and loss where it isn't bce."""
        return self.model if self.loss == "bce" else f"{self.model}/{self.loss}"

    def __hash__(self) -> int:
        return hash(self.sha256)


@dataclass(frozen=True)
class Group:
    """The runs that one program trains: one or more lanes that differ only in seed and learning rates."""

    specs: tuple[RunSpec, ...]

    @property
    def run_ids(self) -> tuple[str, ...]:
        """The lanes' run ids, in order."""
        return tuple(spec.run_id for spec in self.specs)


class EvalProtocol(Frozen):
    """All that a score depends on besides the run; scores of different protocols are never compared."""

    dataset: str
    dataset_sha256: str
    reference_split: str
    n_real: Count
    n_fake: Count
    extractor: str
    extractor_sha256: str
    resize: str
    seed: int
    torch_fidelity_version: str
    protocol_version: int = 1

    @property
    def protocol_id(self) -> str:
        """The first 8 hex digits of the hash of every field: equal protocols, and only they, share it."""
        return hashlib.sha256(_canonical(self.model_dump(mode="json")).encode()).hexdigest()[:8]

    @property
    def label(self) -> str:
        """A short name for tables and axes, unique through the id."""
        return f"{self.extractor} {self.n_real}/{self.n_fake} [{self.protocol_id}]"


class Catalogue(Protocol):
    """What expansion must know of the registries, so that this file needs no torch."""

    def resolve_model(self, name: str, image_size: int | None) -> tuple[str, type[Recipe], int]:
        """Return a model's own name, its recipe class and the image size it will make."""

    def check_loss(self, name: str) -> str:
        """Return the name of a registered loss."""

    def channels(self, dataset: str) -> int:
        """Return how many channels a data set's images have."""


class Matrix(Frozen):
    """The cross product that a user asks for. None means: the preset's value, else the recipe's."""

    models: tuple[str, ...] = Field(min_length=1)
    losses: tuple[str, ...] | None = None
    dataset: str = "auto"
    image_size: Literal[28, 32, 64] | None = None
    seeds: tuple[Seed, ...] | None = None
    lrs: tuple[tuple[Rate, Rate], ...] | None = None
    epochs: Count | None = None
    steps: Count | None = None
    batch_size: Count | None = None
    precision: Precision = "fp32"
    metrics: tuple[str, ...] | None = None
    extractors: tuple[str, ...] | None = None
    eval_samples: Annotated[int, Field(ge=16)] | None = None
    eval_every: Count | None = None
    settings: dict[str, Scalar] = Field(default_factory=dict)

    def with_preset(self, name: str) -> Matrix:
        """Return the matrix with a preset's values wherever the user set none."""
        if name not in PRESETS:
            raise unknown("preset", name, PRESETS)
        preset = dict(PRESETS[name])
        if self.epochs is not None or self.steps is not None:
            preset.pop("epochs", None)
            preset.pop("steps", None)
        settings = {**preset.pop("settings", {}), **self.settings}
        missing = {key: value for key, value in preset.items() if getattr(self, key) is None}
        return self.model_copy(update={**missing, "settings": settings})

    def expand(self, catalogue: Catalogue) -> list[RunSpec]:
        """Return every run of the cross product once, in the order asked for.

        Raises InputError for unknown names, a setting that no chosen model has, or a size that a model
        does not make.
        """
        if self.epochs is not None and self.steps is not None:
            raise InputError("--epochs and --steps were both given: give one of them")
        chosen = [catalogue.resolve_model(name, self.image_size) for name in self.models]
        open_keys = set().union(*(recipe.model_fields for _, recipe, _ in chosen)) - set(OWN_OPTIONS)
        for key in self.settings:
            if key in OWN_OPTIONS:
                raise InputError(f"--set {key} was asked: it has an option of its own, {_option_of(key)}")
            if key not in open_keys:
                raise unknown("recipe value", key, open_keys)
        specs: dict[str, RunSpec] = {}
        for (name, recipe_type, size), loss, rates, seed in itertools.product(
            chosen, self.losses or (None,), self.lrs or (None,), self.seeds or (0,)
        ):
            spec = self._spec(catalogue, name, recipe_type, size, loss, rates, seed)
            specs.setdefault(spec.sha256, spec)
        return list(specs.values())

    def _spec(
        self,
        catalogue: Catalogue,
        name: str,
        recipe_type: type[Recipe],
        size: int,
        loss: str | None,
        rates: Rates | None,
        seed: int,
    ) -> RunSpec:
        own = {key: value for key, value in self.settings.items() if key in recipe_type.model_fields}
        recipe = validated(recipe_type, own, f"--set for {name}")
        values = recipe.model_dump()
        lr_g, lr_d = rates or (recipe.lr_g, recipe.lr_d)
        explicit_length = self.epochs is not None or self.steps is not None
        wanted = {
            "metrics": self.metrics,
            "extractors": self.extractors,
            "samples": self.eval_samples,
            "every": self.eval_every,
        }
        return RunSpec(
            model=name,
            loss=catalogue.check_loss(loss or recipe.loss),
            dataset=self.dataset,
            image_size=size,
            channels=catalogue.channels(self.dataset),
            seed=seed,
            lr_g=lr_g,
            lr_d=lr_d,
            batch_size=self.batch_size or recipe.batch_size,
            epochs=self.epochs if explicit_length else recipe.epochs,
            steps=self.steps if explicit_length else recipe.steps,
            precision=self.precision,
            settings={key: value for key, value in values.items() if key not in OWN_OPTIONS},
            evaluation=Evaluation(**{key: value for key, value in wanted.items() if value is not None}),
        )


PRESETS: Mapping[str, Mapping[str, Any]] = {
    "smoke": {"seeds": (0,), "steps": 24, "batch_size": 32, "eval_samples": 320, "settings": {"width": 0.25}},
    "quick": {"seeds": (0,), "epochs": 3, "batch_size": 64, "eval_samples": 2000, "settings": {"width": 0.5}},
    "standard": {"seeds": (0, 1, 2), "epochs": 25, "eval_samples": 10_000},
    "paper": {"seeds": (0,), "eval_samples": 10_000},
}
PRESET_SUMMARIES: Mapping[str, str] = {
    "smoke": "a few steps of narrow nets: proves that everything works, says nothing about quality",
    "quick": "a first look: one seed, 3 epochs, half-width nets; the default without a GPU",
    "standard": "three seeds, 25 epochs, 10,000 samples; the default with a GPU",
    "paper": "each model's published recipe, one seed, 10,000 samples",
}


def _canonical(values: object) -> str:
    return json.dumps(values, sort_keys=True, separators=(",", ":"))


def _option_of(key: str) -> str:
    return {"loss": "--losses", "lr_g": "--lrs", "lr_d": "--lrs"}.get(key, "--" + key.replace("_", "-"))


def validated(kind: type[Any], values: Mapping[str, Any], asked: str) -> Any:
    """Build `kind` from `values`, turning pydantic's complaint into one InputError that names each value."""
    try:
        return kind(**values)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(str(part) for part in fault['loc'] if not isinstance(part, int)) or 'value'}="
            f"{fault['input']!r}: {fault['msg'].lower()}"
            for fault in error.errors()
        )
        raise InputError(f"{asked}: {faults}") from None
