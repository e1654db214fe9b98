"""Hypersim's folders and HDF5 files; a room of known geometry, smaller than 1024x768 but of the same shape."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from PIL import Image

SIZE = (24, 32)
NORMAL = np.array([0.36, 0.48, -0.8])  # of the plane that is seen, in our axes: right, down, away; it faces the camera
OFFSET = -2.0  # n . X of its points, metres
COLUMNS = ["scene_name", "camera_name", "frame_id", "included_in_public_release", "exclude_reason"]


@dataclass(frozen=True)
class Truth:
    """``depth``: z of the plane, 0 = missing; ``semantic`` and ``colour`` as in the files; ``entities``: -1 = none."""

    depth: np.ndarray
    semantic: np.ndarray
    colour: np.ndarray
    entities: np.ndarray
    hole: np.ndarray


def write_hypersim(
    root: Path, frames: Sequence[tuple[str, str, int]], previews: bool = True, size: tuple[int, int] = SIZE
) -> dict[str, Truth]:
    """Files of each (scene, camera, number); with ``previews`` the tonemap.jpg, too. By "scene/camera/frame.IIII"."""
    random = np.random.default_rng(3)
    truth = {}
    for scene, camera, number in frames:
        one = _plane(random, size)
        images, stem = root / scene / "images", f"frame.{number:04d}"
        final, geometry = images / f"scene_{camera}_final_hdf5", images / f"scene_{camera}_geometry_hdf5"
        write_h5(final / f"{stem}.color.hdf5", one.colour)
        distance = one.depth / np.cos(angles(size))
        distance[one.hole] = np.nan
        write_h5(geometry / f"{stem}.depth_meters.hdf5", distance.astype(np.float32))
        up_and_back = np.broadcast_to(NORMAL * [1, -1, -1], (*size, 3)).copy()
        up_and_back[:4] *= -1  # a mesh whose normals point inwards
        up_and_back[4] *= 0.5  # not of unit length
        up_and_back[one.hole] = 0
        write_h5(geometry / f"{stem}.normal_cam.hdf5", up_and_back.astype(np.float16))
        write_h5(geometry / f"{stem}.semantic.hdf5", one.semantic)
        write_h5(geometry / f"{stem}.render_entity_id.hdf5", one.entities)
        if previews:
            preview = images / f"scene_{camera}_final_preview"
            preview.mkdir(exist_ok=True)
            Image.fromarray(random.integers(0, 256, (*size, 3), dtype=np.uint8)).save(preview / f"{stem}.tonemap.jpg")
            (preview / f"{stem}.color.jpg").write_bytes(b"another preview")
        truth[f"{scene}/{camera}/{stem}"] = one
    return truth


def angles(size: tuple[int, int]) -> np.ndarray:
    """Angle between the axis and the ray of each pixel: 60 degrees across the width, rays through pixel centres."""
    focal = size[1] / 2 / np.tan(np.pi / 6)
    x = np.linspace(-0.5 * size[1] + 0.5, 0.5 * size[1] - 0.5, size[1])
    y = np.linspace(-0.5 * size[0] + 0.5, 0.5 * size[0] - 0.5, size[0])
    return np.arctan(np.hypot(x[None, :], y[:, None]) / focal)


def _plane(random: np.random.Generator, size: tuple[int, int]) -> Truth:
    focal = size[1] / 2 / np.tan(np.pi / 6)
    v, u = np.mgrid[: size[0], : size[1]]
    facing = NORMAL[0] * (u - (size[1] - 1) / 2) / focal + NORMAL[1] * (v - (size[0] - 1) / 2) / focal + NORMAL[2]
    hole = random.random(size) < 0.1
    semantic = random.integers(1, 41, size).astype(np.int16)
    semantic[hole] = -1
    entities = np.where(hole, -1, random.integers(1, 900, size)).astype(np.int32)
    colour = random.gamma(2, 0.3, (*size, 3)).astype(np.float16)
    colour[hole] = 60  # the bright nothing behind a window
    return Truth(np.where(hole, 0, OFFSET / facing), semantic, colour, entities, hole)


def write_h5(path: Path, array: np.ndarray, key: str = "dataset") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file.create_dataset(key, data=array, compression="gzip")


def write_split(path: Path, rows: Sequence[tuple[str, str, int, str]]) -> None:
    """The official list; a row is (scene, camera, number, split), an empty split means left out of the release."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*COLUMNS, "split_partition_name"])
        for scene, camera, number, split in rows:
            writer.writerow([scene, camera, number, bool(split), "" if split else "people", split])
