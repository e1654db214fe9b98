"""How numbers are written."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

import vtadapt
from vtadapt.digits import amount, percent


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.0, "0 %"),
        (1.0, "100 %"),
        (0.9999999, "99.99 %"),
        (0.999, "99.9 %"),
        (0.995, "99.5 %"),
        (0.99, "99 %"),
        (0.4249, "42 %"),
        (0.0123, "1.2 %"),
        (0.00012, "0.012 %"),
        (1e-9, "< 0.01 %"),
        (-0.25, "-25 %"),
        (3.5, "350 %"),
        (math.nan, "nan %"),
    ],
)
def test_percent(share: float, text: str) -> None:
    assert percent(share) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (4.567, "4.57"),
        (4.5, "4.5"),
        (99.96, "100"),
        (1234.5, "1234"),
        (65535, "65535"),
        (0.0123456, "0.0123"),
        (-1500.4, "-1500"),
        (1e-7, "1e-07"),
        (2e20, "2e+20"),
        (math.inf, "inf"),
    ],
)
def test_amount(value: float, text: str) -> None:
    assert amount(value) == text


def test_shares_have_one_formatter() -> None:
    """``{100 * share:.2g} %`` writes a hundred as 1e+02."""
    package = Path(vtadapt.__file__).parent
    wrong = [
        f"{path.relative_to(package)}: {line.strip()}"
        for path in sorted(package.rglob("*.py"))
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.search(r"\{[^{}]*:[^{}]*\.\d+g\}\s*%", line)
    ]
    assert wrong == []
