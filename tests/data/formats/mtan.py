"""The ``.npy`` folders of MTAN: {train,val}/{image,label,depth,normal}/<i>.npy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from tests.data.formats.facing import facing_normals

SIZE = (24, 32)
Arrays = dict[str, np.ndarray]


def write_mtan_nyuv2(root: Path, counts: Mapping[str, int]) -> dict[str, list[dict[str, np.ndarray]]]:
    """NYUv2: labels 0..12 as floats, -1 = void; depth in metres; normals +x left, +y up, +z towards the camera.

    Returns the samples of each split in order, with normals turned to +x right, +y down, +z away.
    """

    def draw(random: np.random.Generator, image: np.ndarray) -> tuple[Arrays, Arrays]:
        label = random.integers(-1, 13, SIZE)
        depth = np.where(random.random(SIZE) < 0.2, 0, random.uniform(0.5, 9.9, SIZE)).astype(np.float32)
        normals = facing_normals(random, *SIZE)
        normals[random.random(SIZE) < 0.1] = 0
        files = {
            "image": image / 255,  # float64, as published
            "label": label.astype(np.float64),
            "depth": depth[..., None],
            "normal": (0 - normals).astype(np.float32),
        }
        return files, {"label": label, "depth": depth, "normals": normals}

    return _write(root, counts, 0, draw)


def write_mtan_cityscapes(root: Path, counts: Mapping[str, int]) -> dict[str, list[dict[str, np.ndarray]]]:
    """Cityscapes: 7 and 19 classes, -1 = void; the disparity picture's numbers / 65535, 0 = not measured."""

    def draw(random: np.random.Generator, image: np.ndarray) -> tuple[Arrays, Arrays]:
        classes = {"label_7": random.integers(-1, 7, SIZE), "label_19": random.integers(-1, 19, SIZE)}
        disparity = random.integers(0, 4, SIZE) * 8000 / 65535
        depth = disparity.astype(np.float32)[..., None]
        files = {"image": image.astype(np.float32) / 255, **classes, "depth": depth}
        return files, {**classes, "disparity": disparity}

    return _write(root, counts, 1, draw)


def _write(
    root: Path, counts: Mapping[str, int], seed: int, draw: Callable[..., tuple[Arrays, Arrays]]
) -> dict[str, list[Arrays]]:
    """Save the files that ``draw`` gives for each random image; returns the images and what else it gives."""
    truth: dict[str, list[Arrays]] = {}
    random = np.random.default_rng(seed)
    for split, count in counts.items():
        truth[split] = []
        for i in range(count):
            image = random.integers(0, 256, (*SIZE, 3), dtype=np.uint8)
            files, labels = draw(random, image)
            _save(root / split, i, files)
            truth[split].append({"image": image, **labels})
    return truth


def _save(folder: Path, i: int, files: Mapping[str, np.ndarray]) -> None:
    for name, array in files.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        np.save(folder / name / f"{i}.npy", array)
