"""Numbers as text: one notation for a value and one for a learning rate, everywhere."""

from __future__ import annotations

import math
from decimal import Decimal

MISSING = "\N{EN DASH}"
MAX_DECIMALS = 6
PLAIN_BELOW = 1e7
"""Larger numbers are written with an exponent: further digits would be false precision."""


def number(value: float | None) -> str:
    """Return a number with three significant digits and thousands separators; a dash for a missing one.

    A number that is zero in six decimals is `0`, without a sign.
    """
    if value is None or not math.isfinite(value):
        return MISSING
    if abs(value) < 0.5 * 10**-MAX_DECIMALS:
        return "0"
    if abs(value) >= PLAIN_BELOW:
        mantissa, exponent = f"{value:.2e}".split("e")
        return f"{mantissa}e{int(exponent)}"
    digits = math.floor(math.log10(abs(float(f"{value:.2e}"))))  # of the rounded number: 9.996 is 10.0
    return f"{value:,.{min(MAX_DECIMALS, max(0, 2 - digits))}f}"


def rate_text(lr_g: float, lr_d: float) -> str:
    """Return learning rates as typed: 2e-4, or 4e-4:1e-4 (G:D) where they differ; at most seven digits."""
    texts = [_scientific(Decimal(f"{rate:.6e}")) for rate in (lr_g, lr_d)]
    return texts[0] if lr_g == lr_d else ":".join(texts)


def exact_rates(lr_g: float, lr_d: float) -> str:
    """Return learning rates in the notation of `rate_text` with every digit: parsing gives the same numbers."""
    texts = [_scientific(Decimal(repr(float(rate)))) for rate in (lr_g, lr_d)]
    return texts[0] if lr_g == lr_d else ":".join(texts)


def _scientific(value: Decimal) -> str:
    digits = "".join(map(str, value.as_tuple().digits)).rstrip("0") or "0"
    mantissa = digits[0] + (f".{digits[1:]}" if len(digits) > 1 else "")
    return f"{mantissa}e{value.adjusted()}"
