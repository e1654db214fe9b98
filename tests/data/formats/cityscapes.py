"""Cityscapes as its archives unpack: names, folders and numbers of the published files, with small pictures."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

SIZE = (32, 64)  # published: 1024 x 2048
BASELINE, FX, FY, U0, V0 = 0.209313, 2262.52, 2265.3017905988554, 1096.98, 513.137


@dataclass(frozen=True)
class Truth:
    """What was written for one picture: RGB, the ids of its label file, and its depth in metres (0 = missing)."""

    image: np.ndarray
    ids: np.ndarray
    depth: np.ndarray


def write_camera(path: Path, baseline: float = BASELINE, fx: float = FX) -> None:
    """A camera file with all the keys of the published ones."""
    path.parent.mkdir(parents=True, exist_ok=True)
    extrinsic = {"baseline": baseline, "pitch": 0.038, "roll": 0.0, "x": 1.7, "y": 0.1, "yaw": -0.0195, "z": 1.22}
    content = {"extrinsic": extrinsic, "intrinsic": {"fx": fx, "fy": FY, "u0": U0, "v0": V0}}
    path.write_text(json.dumps(content, indent=4))


def write_cityscapes(
    root: Path, counts: dict[str, int], *, baselines: tuple[float, ...] = (BASELINE, 0.22), size: tuple[int, int] = SIZE
) -> dict[str, Truth]:
    """So many pictures of each split, in two cities; returns the truth by "SPLIT/CITY/STEM".

    Every label id 0..33 occurs. Disparity holds 0 (not measured), 1 (no disparity), 2 (the farthest) and 65535.
    """
    random = np.random.default_rng(3)
    truth = {}
    for split, count in counts.items():
        coarse = split == "train_extra"
        for i in range(count):
            city = ("aachen", "zürich")[i % 2]
            stem = f"{city}_{i:06d}_000019"
            places = {
                kind: root / kind / split / city
                for kind in ("leftImg8bit", "gtCoarse" if coarse else "gtFine", "disparity", "camera")
            }
            for place in places.values():
                place.mkdir(parents=True, exist_ok=True)
            image = random.integers(0, 256, (*size, 3), dtype=np.uint8)
            ids = random.integers(0, 34, size, dtype=np.uint8)
            ids[0, :34] = np.arange(34)
            disparity = random.integers(2, 65536, size).astype(np.uint16)
            disparity[1, :4] = 0, 1, 2, 65535
            Image.fromarray(image).save(places["leftImg8bit"] / f"{stem}_leftImg8bit.png")
            kind, place = ("gtCoarse", places["gtCoarse"]) if coarse else ("gtFine", places["gtFine"])
            if split == "test":
                ids[:] = 0  # published as dummies
            Image.fromarray(ids).save(place / f"{stem}_{kind}_labelIds.png")
            Image.fromarray(ids.astype(np.uint16)).save(place / f"{stem}_{kind}_instanceIds.png")
            Image.new("RGBA", size[::-1]).save(place / f"{stem}_{kind}_color.png")
            (place / f"{stem}_{kind}_polygons.json").write_text("{}")
            Image.fromarray(disparity).save(places["disparity"] / f"{stem}_disparity.png")
            baseline = baselines[i % len(baselines)]
            write_camera(places["camera"] / f"{stem}_camera.json", baseline)
            pixels = (disparity.astype(np.float64) - 1.0) / 256.0
            depth = baseline * FX / np.where(disparity >= 2, pixels, np.inf)
            truth[f"{split}/{city}/{stem}"] = Truth(image, ids, depth)
    return truth
