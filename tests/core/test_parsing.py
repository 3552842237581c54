"""Parsing of typed text: every text is parsed or refused with what to type."""

from __future__ import annotations

import contextlib
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gan_bench.core.errors import InputError
from gan_bench.core.parsing import (
    parse_names,
    parse_path,
    parse_rates,
    parse_seconds,
    parse_seeds,
    parse_settings,
)

ANY_TEXT = (
    st.text() | st.text("0123456789-,:. eE+", max_size=30) | st.text('[]{}"\\nulltruefals0123456789.', max_size=30)
)


@given(ANY_TEXT)
def test_any_text_is_parsed_or_an_input_error(text: str) -> None:
    parsers = (
        parse_seeds, parse_rates, lambda t: parse_names(t, "--models"), lambda t: parse_settings([t]),
        lambda t: parse_seconds(t, "--run-timeout"),
    )  # fmt: skip
    for parse in parsers:
        with contextlib.suppress(InputError):
            parse(text)


def test_the_home_folder_is_expanded_at_the_start_of_a_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/user")
    assert parse_path("~/data", "GAN_BENCH_DATA") == Path("/home/user/data")
    assert parse_path("data/~", "GAN_BENCH_DATA") == Path("data/~").absolute()
    with pytest.raises(InputError, match=r"GAN_BENCH_DATA '~no-such-user/x': .* type the whole path"):
        parse_path("~no-such-user/x", "GAN_BENCH_DATA")


def test_names_are_a_comma_list_without_empty_items() -> None:
    assert parse_names("a, b,c ", "--models") == ("a", "b", "c")
    for text in ("", ",", "a,,b", "a,"):
        with pytest.raises(InputError, match=r"--models .* an empty name; type a comma list"):
            parse_names(text, "--models")


@given(st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=20))
def test_a_list_of_seeds_keeps_its_order_without_duplicates(seeds: list[int]) -> None:
    assert parse_seeds(",".join(map(str, seeds))) == tuple(dict.fromkeys(seeds))


@given(st.integers(0, 2**31 - 200), st.integers(0, 100))
def test_a_range_of_seeds_is_inclusive(first: int, more: int) -> None:
    assert parse_seeds(f" {first}-{first + more} ") == tuple(range(first, first + more + 1))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not a seed"),
        ("1,", "is not a seed"),
        ("-1", "is not a seed"),
        ("1.0", "is not a seed"),
        ("1-2-3", "is not a seed"),
        (" 4-2 ", "the range 4-2 runs backwards; type 2-4"),
        (str(2**31), "seeds go up to 2147483647"),
        ("0-10000", "at most 10,000 in a range"),
        ("0-6000,7000-12000", "more than 10,000 seeds; ask for fewer"),
    ],
)
def test_invalid_seeds_are_input_errors(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_seeds(text)


def test_ten_thousand_seeds_are_allowed() -> None:
    assert len(parse_seeds("0-9999")) == 10_000


RATES = st.floats(1e-12, 9.99)


@given(st.lists(st.tuples(RATES, RATES), min_size=1, max_size=5))
def test_pairs_of_rates_are_generator_and_discriminator(rates: list[tuple[float, float]]) -> None:
    assert parse_rates(",".join(f"{g!r}:{d!r}" for g, d in rates)) == tuple(dict.fromkeys(rates))


@given(RATES)
def test_a_single_rate_applies_to_both_networks(rate: float) -> None:
    assert parse_rates(f" {rate!r} ") == ((rate, rate),)


@pytest.mark.parametrize("text", ["0", "-1e-4", "10", "nan", "inf", "1e-400", "1e-4:0", "1e-4:nan"])
def test_rates_out_of_range_are_input_errors(text: str) -> None:
    with pytest.raises(InputError, match="above 0 and below 10"):
        parse_rates(text)


@pytest.mark.parametrize("text", ["", "a", "1e-4,", "1e-4:1e-4:1e-4", ":", "1e-4:"])
def test_text_that_is_not_a_rate_is_an_input_error(text: str) -> None:
    with pytest.raises(InputError, match="is not a learning rate; type 1e-4,2e-4 or 4e-4:1e-4"):
        parse_rates(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("0.5", 0.5),
        ("1e-3", 1e-3),
        ("true", True),
        ("uniform", "uniform"),
        ('"7"', "7"),
        ("null", "null"),
        ("[1]", "[1]"),
        ("{}", "{}"),
        ("a=b", "a=b"),
        ("[" * 100_000, "[" * 100_000),
        ("9" * 5000, "9" * 5000),
    ],
)
def test_settings_are_json_scalars_or_text(text: str, value: object) -> None:
    read = parse_settings([f" key = {text} "])
    assert read == {"key": value}
    assert type(read["key"]) is type(value)


@given(st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False) | st.booleans())
def test_numbers_in_settings_keep_value_type_and_sign(value: float) -> None:
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    read = parse_settings([f"key={text}"])["key"]
    assert read == value
    assert type(read) is type(value)
    assert not isinstance(read, float) or math.copysign(1, read) == math.copysign(1, value)


@pytest.mark.parametrize("item", ["", "width", "=1", "width=", "Width=1", "a b=1", "1a=1", "a-b=1"])
def test_invalid_settings_are_input_errors(item: str) -> None:
    with pytest.raises(InputError, match="type KEY=VALUE, such as --set width="):
        parse_settings([item])


def test_a_setting_that_is_given_twice_is_an_input_error() -> None:
    assert parse_settings(["a=1", "b=2"]) == {"a": 1, "b": 2}
    with pytest.raises(InputError, match="--set a was given twice"):
        parse_settings(["a=1", "a=2"])


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90.0), ("90s", 90.0), (" 15 m ", 900.0), ("1.5h", 5400.0), ("2d", 172_800.0), ("0.5", 0.5)],
)
def test_times_are_seconds_or_have_a_unit(text: str, seconds: float) -> None:
    assert parse_seconds(text, "--run-timeout") == seconds


@pytest.mark.parametrize("text", ["", "0", "0s", "-1", "1y", "soon", "nan", "inf", "1e3", "s", "1h30m"])
def test_text_that_is_not_a_time_is_an_input_error(text: str) -> None:
    with pytest.raises(InputError, match=r"--run-timeout .*: not a time above 0; type seconds or 90s, 15m, 2h"):
        parse_seconds(text, "--run-timeout")
