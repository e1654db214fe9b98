"""A small Taskonomy as it is published, for its tests."""

from __future__ import annotations

import numpy as np

from vtadapt.data.prepare.prepare import PrepareOptions
from vtadapt.data.readers.base import Reader
from vtadapt.data.readers.table import make_reader
from vtadapt.data.recipe.recipe import load_recipe

NATIVE = PrepareOptions(size="native")


FILES = {
    "semseg": "semantic",
    "depth": "zbuffer",
    "depth_euclidean": "euclidean",
    "normals": "normal",
    "edges": "occlusion",
    "edges_texture": "texture",
    "keypoints2d": "points2d",
    "keypoints3d": "points3d",
    "principal_curvature": "curvature",
    "reshading": "reshading",
}


def reader(tasks: list[str] | None = None, **options: object) -> Reader:
    return make_reader(load_recipe("taskonomy").with_options(options), tasks=tasks)


def expected(numbers: dict[str, np.ndarray], masked: bool = True) -> dict[str, np.ndarray]:
    """The labels, number by number, from what stands in the files."""
    metres = {t: np.where(numbers[d] == 65535, 0, numbers[d] / 512.0) for t, d in list(FILES.items())[1:3]}
    normals = numbers["normal"] / 127.5 - 1
    normals /= np.sqrt((normals**2).sum(axis=-1))[..., None]
    normals[(numbers["normal"] == 128).all(axis=-1)] = 0
    result = {
        "semseg": np.where(numbers["semantic"] == 0, 255, numbers["semantic"].astype(int) - 1),
        **metres,
        "normals": normals,
        "edges": numbers["occlusion"] / 65535,
        "edges_texture": np.clip(numbers["texture"] / (65535 / 4), 0, 1),
        "keypoints2d": numbers["points2d"] / 65535,
        "keypoints3d": numbers["points3d"] / 65535,
        "principal_curvature": (numbers["curvature"][..., :2].astype(float) - 127) / 127,
        "reshading": numbers["reshading"][..., 0] / 255,
    }
    hole = numbers["mask"] == 0
    for task, missing in (("depth", 0), ("depth_euclidean", 0), ("normals", 0), ("edges", np.nan)):
        result[task][hole & masked] = missing
    for task in ("keypoints3d", "principal_curvature", "reshading"):
        result[task][hole & masked] = np.nan
    return result
