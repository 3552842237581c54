"""Numbers and learning rates as text."""

import math

import pytest

from gan_bench.core.numbers import MISSING, exact_rates, number, rate_text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (-0.0, "0"),
        (-1e-9, "0"),
        (0.0000004, "0"),
        (9.996, "10.0"),
        (1234.5, "1,234"),
        (0.01234567, "0.0123"),
        (4e14, "4.00e14"),
        (math.nan, MISSING),
        (math.inf, MISSING),
        (None, MISSING),
    ],
)
def test_three_significant_digits_without_signed_zero_or_false_precision(value, text):
    assert number(value) == text


@pytest.mark.parametrize(
    ("rates", "text"),
    [
        ((2e-4, 2e-4), "2e-4"),
        ((0.0001, 0.0004), "1e-4:4e-4"),
        ((0.1, 0.1), "1e-1"),
        ((0.00015, 0.00015), "1.5e-4"),
    ],
)
def test_rates_have_one_notation(rates, text):
    assert rate_text(*rates) == text


def test_exact_rates_keep_every_digit():
    rate = 1 / 3e4
    assert float(exact_rates(rate, rate)) == rate
