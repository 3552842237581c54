"""Validated immutable values and the field types they share."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from gan_bench.core.errors import InputError, short_repr, unknown
from gan_bench.core.registry import NAME

Name = Annotated[str, Field(pattern=f"^{NAME.pattern}$")]
"""A registered name. Validated here as well: specs are read from files and printed in commands and pages."""
PenaltyName = Annotated[str, Field(pattern=rf"^{NAME.pattern}(\+{NAME.pattern})*$", max_length=64)]
"""A registered penalty, or several that are added: r1+r2."""
Key = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")]
"""The name of a recipe field or of a score's column."""
Line = Annotated[str, Field(pattern=r"^[^\p{C}\p{Zl}\p{Zp}]*$", max_length=200)]
"""One line of printable text."""
Whole = Annotated[int, Field(ge=-(2**63), lt=2**63)]
"""A whole number of 64 bits."""
Scalar: TypeAlias = bool | Whole | float | Line
Precision: TypeAlias = Literal["fp32", "tf32", "bf16"]

Counter = Annotated[int, Field(ge=0, le=10**12)]
"""A number of steps, epochs, attempts, parameters, ..."""
Bytes = Annotated[int, Field(ge=0, lt=2**62)]
Seconds = Annotated[float, Field(ge=0, le=10**10)]
Joules = Annotated[float, Field(ge=0, le=10**15)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Throughput = Annotated[float, Field(ge=0, le=10**12)]


def _measured(value: float) -> float:
    """Return a loss or score; infinity for one that no float32 holds, with which statistics would overflow."""
    return value if abs(value) <= MAX_MEASURE or math.isnan(value) else math.copysign(math.inf, value)


def _tidied(value: object) -> object:
    """Return text as it can be written, read and shown: Unicode, and not too long."""
    if not isinstance(value, str):
        return value
    text = value if len(value) <= MAX_LOG else value[: MAX_LOG - 1] + "\u2026"
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


MAX_MEASURE = 1e39
MAX_LOG = 4000
Measure = Annotated[float, AfterValidator(_measured)]
"""A loss, or a score; NaN and infinity are allowed."""
Text = Annotated[str, BeforeValidator(_tidied)]
"""Text of any characters, such as a reason or a log; cut off after 4,000 characters."""


class Frozen(BaseModel):
    """A validated immutable value; unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class UserInput(Frozen):
    """A value constructed by users; invalid or unknown fields raise InputError."""

    def __init__(self, **values: Any) -> None:
        for name in values.keys() - type(self).model_fields.keys():
            raise unknown(f"field of {type(self).__name__}", name, type(self).model_fields)
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise InputError(f"{type(self).__name__}: {describe_invalid(error)}") from None


def canonical_json(values: object) -> str:
    """Return compact JSON with sorted keys, equal for equal values; raise ValueError for non-finite numbers."""
    return json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False)


def sha256_hex(text: str) -> str:
    """Return the SHA-256 of a text's UTF-8 bytes, in hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def finite_or_null(values: Any) -> Any:
    """Return JSON-like values as JSON can hold them: None for a number that is not finite, ? for a surrogate.

    Lone surrogates come from file names that are not Unicode.
    """
    if isinstance(values, float):
        return values if math.isfinite(values) else None
    if isinstance(values, str):
        return values if values.isascii() else values.encode("utf-8", "replace").decode("utf-8")
    if isinstance(values, Mapping):
        return {_tidied(key): finite_or_null(value) for key, value in values.items()}
    if isinstance(values, Sequence) and not isinstance(values, str | bytes):
        return [finite_or_null(value) for value in values]
    return values


def validated_fields(kind: type[Any], values: Mapping[str, Any], asked: str) -> Any:
    """Return `kind` made of those `values` that are its fields; raise one InputError with all faults."""
    try:
        return kind(**{key: value for key, value in values.items() if key in kind.model_fields})
    except ValidationError as error:
        raise InputError(f"{asked}: {describe_invalid(error)}") from None


def describe_invalid(error: ValidationError) -> str:
    """Return the invalid values of a pydantic error in one line."""
    parts = []
    for fault in error.errors():
        name = ".".join(str(part) for part in fault["loc"] if not isinstance(part, int)) or "value"
        value = "" if fault["type"] == "missing" else f"={short_repr(fault['input'])}"
        parts.append(f"{name}{value}: {fault['msg'].removeprefix('Value error, ').lower()}")
    return "; ".join(parts)
