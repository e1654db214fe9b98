"""Taskonomy in its three trees, with the names of 2018 and of 2021; pictures are smaller than 512x512."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

SIZE = (20, 20)
# folder and token of each domain
NEW = {
    "rgb": ("rgb", "rgb"),
    "semantic": ("segment_semantic", "segmentsemantic"),
    "zbuffer": ("depth_zbuffer", "depth_zbuffer"),
    "euclidean": ("depth_euclidean", "depth_euclidean"),
    "normal": ("normal", "normal"),
    "occlusion": ("edge_occlusion", "edge_occlusion"),
    "texture": ("edge_texture", "edge_texture"),
    "points2d": ("keypoints2d", "keypoints2d"),
    "points3d": ("keypoints3d", "keypoints3d"),
    "curvature": ("principal_curvature", "principal_curvature"),
    "reshading": ("reshading", "reshading"),
    "mask": ("mask_valid", "depth_zbuffer"),
    "info": ("point_info", "fixatedpose"),
}
OLD = {
    **NEW,
    "semantic": ("segmentsemantic", "segmentsemantic"),
    "zbuffer": ("depth", "depth"),
    "euclidean": ("mist", "mist"),
    "occlusion": ("edge", "edge"),
    "texture": ("edge2d", "edge2d"),
    "points2d": ("keypoint2d", "keypoint2d"),
    "points3d": ("keypoint", "keypoint"),
    "curvature": ("curvature", "curvature"),
    "reshading": ("reshade", "reshade"),
    "info": ("points", "fixatedpose"),
}
TREES = {
    "building": "{building}/{domain}",
    "domain": "{domain}/{building}",
    "omnidata": "{domain}/taskonomy/{building}",
    "single": "{domain}",
}


def write_taskonomy(
    root: Path,
    buildings: Sequence[str],
    tree: str = "domain",
    names: dict[str, tuple[str, str]] = NEW,
    domains: Sequence[str] = tuple(NEW),
    views: Sequence[tuple[int, int]] = ((0, 0), (2, 1), (10, 0)),
) -> dict[str, dict[str, np.ndarray]]:
    """Random files of each building and view; returns the numbers in them, by "building/point_P_view_V" and domain."""
    random = np.random.default_rng(9)
    truth = {}
    for building in buildings:
        for p, v in views:
            numbers = random_view(random)
            truth[f"{building}/point_{p}_view_{v}"] = numbers
            for domain in domains:
                folder, token = names[domain]
                place = root / TREES[tree].format(building=building, domain=folder)
                place.mkdir(parents=True, exist_ok=True)
                stem = f"point_{p}_view_{v}_domain_{token}"
                if domain == "info":
                    info = {"field_of_view_rads": float(numbers["info"]), "camera_location": [0.0, 1.0, 2.0]}
                    (place / f"{stem}.json").write_text(json.dumps(info))
                else:
                    Image.fromarray(numbers[domain]).save(place / f"{stem}.png")
    return truth


def random_view(random: np.random.Generator) -> dict[str, np.ndarray]:
    """Numbers as they stand in the files: 8 or 16 bits, one or three channels, with every special value."""
    sixteen = {d: random.integers(0, 65536, SIZE).astype(np.uint16) for d in ("points2d", "points3d", "occlusion")}
    distances = {d: random.integers(1, 8000, SIZE).astype(np.uint16) for d in ("zbuffer", "euclidean")}
    for depth in distances.values():
        depth[:3] = 65535
    vectors = random.normal(size=(*SIZE, 3))
    vectors /= np.linalg.norm(vectors, axis=-1, keepdims=True)
    normal = np.rint((vectors + 1) * 127.5).astype(np.uint8)
    normal[:3] = 128
    grey = random.integers(0, 256, SIZE, dtype=np.uint8)
    curvature = random.integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    curvature[5, 5] = 127
    return {
        "rgb": random.integers(0, 256, (*SIZE, 3), dtype=np.uint8),
        "semantic": random.integers(0, 18, SIZE, dtype=np.uint8),
        **distances,
        **sixteen,
        "normal": normal,
        "texture": random.integers(0, 30000, SIZE).astype(np.uint16),
        "curvature": curvature,
        "reshading": np.repeat(grey[..., None], 3, axis=2),
        "mask": np.where(random.random(SIZE) < 0.1, 0, 255).astype(np.uint8),
        "info": np.array(random.uniform(0.6, 1.6)),
    }
