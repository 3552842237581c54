"""One training, described: RunSpec is frozen, validated and hashed. Recipes and protocols, too. No torch."""

from __future__ import annotations

import functools
import hashlib
import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from gan_bench.errors import InputError
from gan_bench.registry import NAME

Name = Annotated[str, Field(pattern=f"^{NAME.pattern}$")]
"""What things are registered under; checked here too: specs come out of files, and go into commands and pages."""
Key = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")]
"""The name of a recipe's field."""
Line = Annotated[str, Field(pattern=r"^[^\p{C}\p{Zl}\p{Zp}]*$", max_length=200)]
"""One line of text that can be seen."""
Scalar: TypeAlias = bool | int | float | Line
Rates: TypeAlias = tuple[float, float]
Precision: TypeAlias = Literal["fp32", "tf32", "bf16"]

Rate = Annotated[float, Field(gt=0, lt=10, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=10**9)]
Samples = Annotated[int, Field(ge=16, le=10**6)]
"""Images that scores are computed on: they and their features are held in memory."""
Seed = Annotated[int, Field(ge=0, lt=2**31)]

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
    init: Literal["dcgan", "he"] = "dcgan"
    """How weights begin: N(0, 0.02) as in DCGAN, or N(0, 2 / fan-in) (He et al., arXiv 1502.01852)."""
    width: Annotated[float, Field(gt=0, le=16)] = 1.0

    @field_validator("*", mode="before")
    @classmethod
    def _no_boolean_for_a_number(cls, value: object, info: ValidationInfo) -> object:
        """Python takes true for 1: refuse it wherever the recipe doesn't ask for a boolean."""
        if isinstance(value, bool) and cls.model_fields[info.field_name or ""].annotation is not bool:
            raise ValueError("true and false are no values for this")
        return value


OWN_OPTIONS = ("loss", "lr_g", "lr_d", "batch_size", "epochs", "steps")
"""Recipe values that have a field of their own in RunSpec (and an option of their own in the CLI)."""


class Evaluation(Frozen):
    """What is measured of a run: metrics, extractors, how many samples, and how often."""

    metrics: tuple[Name, ...] = ("fid", "is", "kid", "prc", "modes")
    extractors: tuple[Name, ...] = ("mnist-cnn",)
    samples: Samples = 10_000
    every: Count | None = None
    """Evaluate after every so many epochs as well as at the end; None: only at the end."""


class RunSpec(Frozen):
    """The frozen, hashable description of one training and of how it is scored."""

    model_config = ConfigDict(allow_inf_nan=False)

    model: Name
    loss: Name
    dataset: Name
    image_size: Count
    channels: Literal[1, 3]
    seed: Seed
    lr_g: Rate
    lr_d: Rate
    batch_size: Count
    epochs: Count | None = None
    steps: Count | None = None
    precision: Precision = "fp32"
    settings: dict[Key, Scalar]
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


class EvalProtocol(Frozen):
    """All that a score depends on besides the run; scores of different protocols are never compared."""

    dataset: Name
    dataset_sha256: str
    reference_split: str
    n_real: Count
    n_fake: Count
    extractor: Name
    extractor_sha256: str
    resize: str
    seed: int
    torch_fidelity_version: str
    protocol_version: int = 1

    @property
    def protocol_id(self) -> str:
        """The first 8 hex digits of the hash of every field: equal protocols, and only they, share it."""
        return _protocol_id(self)


@functools.lru_cache(maxsize=1024)
def _protocol_id(protocol: EvalProtocol) -> str:
    # a report over a thousand runs asks for it a quarter of a million times
    return hashlib.sha256(_canonical(protocol.model_dump(mode="json")).encode()).hexdigest()[:8]


def _canonical(values: object) -> str:
    return json.dumps(values, sort_keys=True, separators=(",", ":"))


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
