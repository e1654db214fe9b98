"""Pictures and labels whose EXIF says that they are to be turned: both lie alike in the pack, or it is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.data.formats.own import SHAPE, OwnSet
from vtadapt.data.readers.raw.picture import turned

TWO = {"kind": "classes", "classes": ["a", "b"]}
IDS = np.zeros(SHAPE, np.uint8)
IDS[0, 3:] = 1
QUARTER, MIRRORED = 6, 2  # of EXIF


def _save(path: Path, array: np.ndarray, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(array).save(path, exif=exif)


def turned_set(root: Path, label: np.ndarray, picture: int, own: int = 1, **options: Any) -> OwnSet:
    """A picture that shows ``IDS`` and says ``picture``, with a label that says ``own``."""
    made = OwnSet(root, TWO, **options)
    _save(made.picture("0.png"), np.stack([IDS * 255] * 3, axis=-1), picture)
    _save(made.label("0"), label, own)
    return made


@pytest.mark.parametrize(
    ("label", "picture", "own", "options"),
    [
        (IDS, 1, 1, {}),
        (turned(IDS, QUARTER), QUARTER, 1, {}),  # drawn on the upright picture: its size tells
        (IDS, QUARTER, QUARTER, {}),
        (IDS, MIRRORED, MIRRORED, {}),
        (turned(IDS, MIRRORED), MIRRORED, 1, {"exif": "turn"}),
        (IDS, MIRRORED, 1, {"exif": "ignore"}),
        (IDS, QUARTER, 1, {"exif": "ignore"}),
    ],
)
def test_picture_and_label_lie_alike(tmp_path: Path, label: np.ndarray, picture: int, own: int, options: dict) -> None:
    _, held = turned_set(tmp_path, label, picture, own, **options).prepare()
    shown = IDS if options.get("exif") == "ignore" else turned(IDS, picture)
    np.testing.assert_array_equal(held["0"]["x"], shown)
    np.testing.assert_array_equal(held["0"]["image"][..., 0], shown * 255)


def test_what_size_does_not_tell_is_refused(tmp_path: Path) -> None:
    turned_set(tmp_path / "mirrored", IDS, MIRRORED).refused("images/0.png", "orientation 2", "'exif: turn'")
    turned_set(tmp_path / "label", IDS, 1, QUARTER).refused("labels/0.png", "orientation 6", "'exif: ignore'")
    turned_set(tmp_path / "both", IDS, MIRRORED, QUARTER).refused("labels/0.png", "orientation 6", "2")
    turned_set(tmp_path / "stored", IDS, QUARTER).refused("labels/0.png", "12x16", "16x12")
