"""A task of your own without code for it: pictures and labels are written, described, prepared and trained on."""

from __future__ import annotations

import tempfile
from pathlib import Path

import cv2
import numpy as np

import vtadapt

RECIPE = """
name: discs
title: Discs on a plain ground, and how far each pixel lies from the nearest one
licence: CC0
reader: folder
splits: [train, val]
tasks:
  semseg: {kind: classes, classes: [ground, disc]}
  clearance: {kind: regression, units: px}
options:
  image: "images/*.png"
  labels:
    semseg: {files: "labels/{stem}.png"}
    clearance: {files: "clearance/{stem}.npy"}
  split: {fractions: {train: 0.75, val: 0.25}, seed: 0}
"""


def write(folder: Path, images: int = 32, side: int = 64) -> None:
    """Draw discs, and label them."""
    random = np.random.default_rng(0)
    for name in ("images", "labels", "clearance"):
        (folder / name).mkdir(parents=True)
    for i in range(images):
        ids = np.zeros((side, side), np.uint8)
        for _ in range(3):
            x, y, radius = (int(v) for v in random.integers((8, 8, 4), (side - 8, side - 8, 10)))
            cv2.circle(ids, (x, y), radius, 1, -1)
        colours = random.integers(40, 216, (2, 3))
        picture = colours[ids] + random.normal(0, 8, (side, side, 3))
        cv2.imwrite(str(folder / "images" / f"{i:03d}.png"), picture.clip(0, 255).astype(np.uint8))
        cv2.imwrite(str(folder / "labels" / f"{i:03d}.png"), ids)
        np.save(folder / "clearance" / f"{i:03d}.npy", cv2.distanceTransform(1 - ids, cv2.DIST_L2, 5) + 1)


with tempfile.TemporaryDirectory() as place:
    here = Path(place)
    write(here / "source")
    (here / "discs.yaml").write_text(RECIPE, encoding="utf-8")
    vtadapt.prepare_data(here / "discs.yaml", here / "source", data_dir=here / "data")
    model = vtadapt.train("discs", data_dir=here / "data", run_dir=here / "runs", steps=20, batch_size=4)
    out = model.predict(here / "source" / "images" / "000.png")
    print({name: (array.shape, str(array.dtype)) for name, array in out.items()})
