"""A small data set in folders, for the tests of the reader ``folder``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.data.formats.own import SHAPE, OwnSet

TWO = {"kind": "classes", "classes": ["a", "b"]}


IDS = np.eye(*SHAPE, dtype=np.uint8)


NAMES = ["im0", "im1", "im2"]


def labelled(own: OwnSet, *names: str) -> OwnSet:
    for name in names:
        own.picture(f"{name}.png")
        Image.fromarray(IDS).save(own.label(name))
    return own


@pytest.fixture
def own(tmp_path: Path) -> OwnSet:
    """Three pictures and their labels."""
    return labelled(OwnSet(tmp_path, TWO), *NAMES)


def samples(own: OwnSet) -> list[str]:
    """Names of the samples that have their label."""
    _, held = own.prepare()
    for label in (arrays["x"] for arrays in held.values() if "x" in arrays):
        np.testing.assert_array_equal(label, IDS)
    return sorted(name for name, arrays in held.items() if "x" in arrays)
