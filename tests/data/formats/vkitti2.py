"""Virtual KITTI 2 as its three archives unpack, with small pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

SIZE = (38, 126)  # published: 375 x 1242
COLOURS = {  # colors.txt of the published text files
    "Terrain": (210, 0, 200),
    "Sky": (90, 200, 255),
    "Tree": (0, 199, 0),
    "Vegetation": (90, 240, 0),
    "Building": (140, 140, 140),
    "Road": (100, 60, 100),
    "GuardRail": (250, 100, 255),
    "TrafficSign": (255, 255, 0),
    "TrafficLight": (200, 200, 0),
    "Pole": (255, 130, 0),
    "Misc": (80, 80, 80),
    "Truck": (160, 60, 60),
    "Car": (255, 127, 80),
    "Van": (0, 139, 139),
    "Undefined": (0, 0, 0),
}


@dataclass(frozen=True)
class Truth:
    """What was written for one frame: RGB as the JPEG gives it, names of classes, whole centimetres (0 = missing)."""

    image: np.ndarray
    classes: np.ndarray
    centimetres: np.ndarray


def write_vkitti2(
    root: Path,
    scenes: tuple[str, ...] = ("Scene01", "Scene02"),
    variants: tuple[str, ...] = ("clone", "15-deg-left"),
    frames: int = 1,
    *,
    apart: bool = False,
) -> dict[str, Truth]:
    """Both cameras of each variant; returns the truth by "SCENE/VARIANT/CAMERA/NUMBER".

    ``apart``: each archive in a folder of its own, named as the archive.
    """
    random = np.random.default_rng(7)
    names = np.array(list(COLOURS))
    palette = np.array(list(COLOURS.values()), np.uint8)
    truth = {}
    for scene, variant, camera, i in (
        (s, v, c, i) for s in scenes for v in variants for c in (0, 1) for i in range(frames)
    ):
        places = {}
        for kind in ("rgb", "classSegmentation", "depth"):
            top = root / f"vkitti_2.0.3_{kind}" if apart else root
            places[kind] = top / scene / variant / "frames" / kind / f"Camera_{camera}"
            places[kind].mkdir(parents=True, exist_ok=True)
        picture = places["rgb"] / f"rgb_{i:05d}.jpg"
        Image.fromarray(random.integers(0, 256, (*SIZE, 3), dtype=np.uint8)).save(picture, quality=90)
        ids = random.integers(0, len(names), SIZE)
        ids[0, : len(names)] = np.arange(len(names))
        Image.fromarray(palette[ids]).save(places["classSegmentation"] / f"classgt_{i:05d}.png")
        depth = random.integers(1, 65535, SIZE).astype(np.uint16)
        depth[2, :2] = 65535, 65534
        Image.fromarray(depth).save(places["depth"] / f"depth_{i:05d}.png")
        centimetres = depth.astype(np.int64)
        centimetres[depth == 65535] = 0
        image = np.asarray(Image.open(picture).convert("RGB"))
        truth[f"{scene}/{variant}/Camera_{camera}/{i:05d}"] = Truth(image, names[ids], centimetres)
    return truth
