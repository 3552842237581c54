"""Validated immutable values, canonical JSON, and non-finite numbers in JSON."""

from __future__ import annotations

import json
import math
from typing import Annotated

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError

from gan_bench.core.errors import InputError
from gan_bench.core.frozen import (
    Frozen,
    Line,
    Name,
    UserInput,
    canonical_json,
    finite_or_null,
    sha256_hex,
    validated_fields,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
FINITE = JSON.filter(lambda value: "NaN" not in json.dumps(value) and "Infinity" not in json.dumps(value))


class Box(Frozen):
    width: Annotated[int, Field(ge=1)] = 1
    name: Name = "box"


class Settings(UserInput):
    retries: Annotated[int, Field(ge=0)] = 0
    names: tuple[str, ...] = Field(min_length=1)


@given(FINITE)
def test_canonical_json_reads_back_equal_and_does_not_depend_on_the_order_of_keys(value: object) -> None:
    def reversed_keys(item: object) -> object:
        if isinstance(item, dict):
            return {key: reversed_keys(item[key]) for key in reversed(item)}
        return [reversed_keys(each) for each in item] if isinstance(item, list) else item

    text = canonical_json(value)
    assert json.loads(text) == value
    assert canonical_json(reversed_keys(value)) == text
    assert text == text.strip()


def test_canonical_json_is_compact_and_sorted() -> None:
    assert canonical_json({"b": (1, 2.5), "a": {"d": None, "c": True}}) == '{"a":{"c":true,"d":null},"b":[1,2.5]}'


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_canonical_json_refuses_non_finite_numbers(number: float) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        canonical_json({"a": [number]})


def test_sha256_is_that_of_the_utf8_bytes() -> None:
    assert sha256_hex("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert sha256_hex("é") == "4a99557e4033c3539de2eb65472017cad5f9557f7a0625a09f1c3f6e2ba69c4c"


@given(JSON)
def test_finite_or_null_gives_strict_json_and_changes_no_finite_value(value: object) -> None:
    cleaned = finite_or_null(value)
    json.dumps(cleaned, allow_nan=False)
    if "NaN" not in json.dumps(value) and "Infinity" not in json.dumps(value):
        assert cleaned == value


def test_finite_or_null_replaces_non_finite_numbers_at_any_depth() -> None:
    values = {"a": [math.nan, 1.0, (math.inf, "nan")], "b": {"c": -math.inf}, "d": np.float64("nan"), "e": b"x"}
    assert finite_or_null(values) == {"a": [None, 1.0, [None, "nan"]], "b": {"c": None}, "d": None, "e": b"x"}


def test_a_frozen_value_is_immutable_and_has_no_other_fields() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Box().width = 2  # type: ignore[misc]
    with pytest.raises(ValidationError, match="extra"):
        Box(height=2)  # type: ignore[call-arg]


def test_validated_fields_returns_the_value_or_one_line_with_every_fault() -> None:
    assert validated_fields(Box, {"width": 3}, "--set") == Box(width=3)
    with pytest.raises(InputError) as caught:
        validated_fields(Box, {"width": 0, "name": "A B"}, "--set for box")
    message = str(caught.value)
    assert message.startswith("--set for box: width=0: input should be greater than or equal to 1; name='A B': ")
    assert len(message.splitlines()) == 1


def test_validated_fields_ignores_values_of_others() -> None:
    assert validated_fields(Box, {"width": 3, "lr": 1.0}, "settings") == Box(width=3)
    with pytest.raises(InputError, match="settings: width=0"):
        validated_fields(Box, {"width": 0, "lr": 1.0}, "settings")


def test_invalid_user_input_is_an_input_error() -> None:
    assert Settings(names=("a",)).retries == 0
    with pytest.raises(InputError, match=r"Settings: retries=-1: input should be greater than or equal to 0"):
        Settings(retries=-1, names=("a",))
    with pytest.raises(InputError, match=r"Settings: names=\(\): tuple should have at least 1 item"):
        Settings(names=())
    with pytest.raises(InputError, match=r"^Settings: names: field required$"):
        Settings()
    with pytest.raises(InputError, match=r"unknown field of Settings 'retires': did you mean retries\?"):
        Settings(names=("a",), retires=1)  # type: ignore[call-arg]


@pytest.mark.parametrize("text", ["a\nb", "a\x1b[0m", "\u202e", "\u2028", "x" * 201])
def test_a_line_has_no_control_characters_and_is_short(text: str) -> None:
    class Titled(Frozen):
        title: Line

    assert Titled(title="Fréchet distance ↓").title == "Fréchet distance ↓"
    with pytest.raises(ValidationError):
        Titled(title=text)
