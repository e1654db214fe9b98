"""How numbers are written in tables and sentences: no exponents, and no "100 %" of what is nearly all."""

from __future__ import annotations

import math

MOST, LEAST = 1e15, 1e-4  # beyond these an exponent is shorter than the digits


def amount(value: float, digits: int = 3) -> str:
    """Write a number with so many significant digits, whole numbers whole: 0.0123, 4.57, 1235."""
    if not math.isfinite(value) or value == 0 or not LEAST <= abs(value) < MOST:
        return f"{value:.{digits}g}"
    places = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    text = f"{value:.{places}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def percent(share: float) -> str:
    """Write a share as a percentage: 0.4249 -> "42 %", 0.0123 -> "1.2 %".

    "0 %" and "100 %" are none and all: 0.99996 is "99.99 %", what is smaller than 0.01 % is "< 0.01 %".
    """
    value = 100 * share
    if not math.isfinite(value):
        return f"{value} %"
    if 0 < abs(value) < 0.01:
        return f"{'-' if value < 0 else ''}< 0.01 %"
    if 99 < value < 100:
        return f"{math.floor(100 * value) / 100:.2f}".rstrip("0").rstrip(".") + " %"
    return f"{amount(value, 2)} %"
