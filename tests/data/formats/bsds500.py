"""BSDS500 as its archive unpacks: JPEG pictures of two orientations, MATLAB v5 annotations of several people."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.io
from PIL import Image

SIZES = ((24, 36), (36, 24))  # 321x481 and 481x321 in the archive


@dataclass(frozen=True)
class Truth:
    """What the files of one picture hold: pixels as a decoder gives them, and (annotators, H, W) 0/1."""

    image: np.ndarray
    drawn: np.ndarray


def write_bsds500(root: Path, counts: dict[str, int], sizes: tuple[tuple[int, int], ...] = SIZES) -> dict[str, Truth]:
    """``images`` and ``groundTruth`` below ``root``; sizes take turns, and there are 4 to 7 annotators."""
    random = np.random.default_rng(5)
    truth = {}
    for split, count in counts.items():
        for folder in ("images", "groundTruth"):
            (root / folder / split).mkdir(parents=True)
        for i in range(count):
            name = f"{split}{100 + i}"
            size = sizes[i % len(sizes)]
            picture = root / "images" / split / f"{name}.jpg"
            Image.fromarray(random.integers(0, 256, (*size, 3), dtype=np.uint8)).save(picture, quality=95)
            drawn = (random.random((4 + i % 4, *size)) < 0.3).astype(np.uint8)
            write_mat(root / "groundTruth" / split / f"{name}.mat", list(drawn))
            truth[name] = Truth(np.asarray(Image.open(picture).convert("RGB")), drawn)
    return truth


def write_mat(path: Path, drawn: list[np.ndarray], **fields: object) -> None:
    """``groundTruth``: a 1 x K cell array of structs with Segmentation (uint16) and Boundaries (uint8), compressed."""
    cells = np.empty((1, len(drawn)), object)
    for k, lines in enumerate(drawn):
        regions = np.cumsum(lines, axis=-1).astype(np.uint16) + 1
        cells[0, k] = {"Segmentation": regions, "Boundaries": lines, **fields}
    scipy.io.savemat(path, {"groundTruth": cells}, do_compression=True)
