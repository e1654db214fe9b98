"""Label files as users have them, for the tests of the reader ``folder``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import tifffile
from PIL import Image

from tests.data.formats.own import SHAPE
from tests.data.formats.written import palette, png

EDGES, DEPTH, NORMALS = {"kind": "boundary"}, {"kind": "regression", "units": "m"}, {"kind": "unit_vector"}


FOUR = {"kind": "classes", "classes": ["a", "b", "c", "d"]}


IDS = np.arange(SHAPE[0] * SHAPE[1]).reshape(SHAPE) % 4


LINES = (IDS == 3).astype(np.uint8)


NOWHERE = np.zeros(SHAPE, np.uint8)


def image(path: Path, array: np.ndarray, **options: object) -> None:
    Image.fromarray(array).save(path, **options)


def npy(path: Path, array: np.ndarray) -> None:
    with path.open("wb") as file:  # np.save would add a suffix to ".NPY"
        np.save(file, array)


def tiff(path: Path, array: np.ndarray) -> None:
    tifffile.imwrite(path, array)


def rgb16(path: Path, array: np.ndarray) -> None:
    assert cv2.imwrite(str(path), array[..., ::-1].astype(np.uint16))


def in_palette(*colours: int, bits: int = 8) -> Callable[[Path, np.ndarray], None]:
    def write(path: Path, array: np.ndarray) -> None:
        path.write_bytes(png(bits, 3, array, palette(list(colours))))

    return write
