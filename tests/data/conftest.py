"""Small data sets on disk in the original formats, and the tasks of a pack made by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vtadapt.data.pack.pack import PackReader, PackWriter
from vtadapt.data.recipe.task import RecipeTask

TASKS = {
    "semseg": RecipeTask(kind="classes", classes=("a", "b", "c")),
    "depth": RecipeTask(kind="regression", units="m", distance=True),
    "normals": RecipeTask(kind="unit_vector"),
    "edges": RecipeTask(kind="boundary"),
    "curvature": RecipeTask(kind="regression", channels=2),
}


SPECS = {name: task.task(name) for name, task in TASKS.items()}


def random_sample(random: np.random.Generator, height: int, width: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """An image and a label of every task, with some of each missing."""
    normals = random.normal(size=(height, width, 3)).astype(np.float32)
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    normals[0] = 0
    labels = {
        "semseg": random.choice(np.array([0, 1, 2, 255], np.uint8), (height, width)),
        "depth": random.uniform(1, 9, (height, width)).astype(np.float32) * (random.random((height, width)) > 0.2),
        "normals": normals,
        "edges": random.choice(np.array([0, 1, 255], np.uint8), (height, width)),
        "curvature": np.where(random.random((height, width, 1)) < 0.2, np.nan, random.normal(size=(height, width, 2))),
    }
    return random.integers(0, 256, (height, width, 3), dtype=np.uint8), labels


@pytest.fixture
def pack(tmp_path: Path) -> PackReader:
    """Six samples of two sizes; the second has no depth, the third no label at all."""
    random = np.random.default_rng(0)
    with PackWriter(tmp_path / "train.h5", TASKS) as writer:
        for i in range(6):
            image, labels = random_sample(random, *((16, 24) if i % 2 else (20, 18)))
            keep = [] if i == 2 else [t for t in labels if not (i == 1 and t == "depth")]
            writer.add(f"Straße {i}", image, {t: labels[t] for t in keep})
    return PackReader(tmp_path / "train.h5", TASKS)


def write_camvid(root: Path, counts: dict[str, int], size: tuple[int, int] = (24, 32)) -> dict[str, np.ndarray]:
    """CamVid's layout below ``root``; returns the labels by name (11 = void)."""
    random = np.random.default_rng(1)
    truth = {}
    for split, count in counts.items():
        for folder in (split, f"{split}annot"):
            (root / folder).mkdir(parents=True)
        for i in range(count):
            name = f"{split} bücher {i}"
            truth[name] = random.integers(0, 12, size, dtype=np.uint8)
            Image.fromarray(random.integers(0, 256, (*size, 3), dtype=np.uint8)).save(root / split / f"{name}.png")
            Image.fromarray(truth[name]).save(root / f"{split}annot" / f"{name}.png")
    return truth


def write_sevenscenes(root: Path, count: int) -> None:
    """7-Scenes' layout with two sequences: a tilted plane in millimetres, with holes of both kinds."""
    v, u = np.mgrid[:480, :640]
    for sequence in ("seq-01", "seq-02"):
        (root / sequence).mkdir(parents=True)
        for i in range(count):
            depth = np.rint(1000 / (0.5 + 1e-4 * (u - 320) + 2e-4 * (v - 240))).astype(np.uint16)
            depth[100:120, 100:120], depth[300:320, 300:320] = 0, 65535
            stem = root / sequence / f"frame-{i:06d}"
            Image.fromarray(depth).save(f"{stem}.depth.png")
            Image.fromarray(np.full((480, 640, 3), 40 * i, np.uint8)).save(f"{stem}.color.png")
