"""NYUD_MT: images/, segmentation/, edge/, normals/, depth/ and gt_sets/ in the files of three archives."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import scipy.io
from PIL import Image

from tests.data.formats.facing import facing_normals

SIZE = (25, 34)


def write_nyud_mt(root: Path, variant: str, counts: Mapping[str, int]) -> dict[str, dict[str, np.ndarray]]:
    """Write ``variant`` astmt, mtinet or invpt; returns labels by name: normals are +x right, +y down, +z away.

    The files' normals are +x left, +y up, +z towards the camera, rounded to 8 bits where they are pictures.
    """
    random = np.random.default_rng(2)
    for folder in ("images", "segmentation", "edge", "normals", "depth", "gt_sets"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    truth, number = {}, 0
    for split, count in counts.items():
        names = [f"{number + i + 1:04d}" for i in range(count)]
        number += count
        (root / "gt_sets" / f"{split}.txt").write_text("".join(f"{n}\n" for n in names))
        for name in names:
            truth[name] = one = {
                "image": random.integers(0, 256, (*SIZE, 3), dtype=np.uint8),
                "semseg": random.integers(0, 41, SIZE, dtype=np.uint8),
                "edges": random.integers(0, 2, SIZE, dtype=np.uint8),
                "depth": np.where(random.random(SIZE) < 0.1, 0, random.uniform(0.7, 9.9, SIZE)).astype(np.float32),
                "normals": facing_normals(random, *SIZE),
            }
            {"astmt": _astmt, "mtinet": _mtinet, "invpt": _invpt}[variant](root, name, one)
    return truth


def _astmt(root: Path, name: str, one: Mapping[str, np.ndarray]) -> None:
    Image.fromarray(one["image"]).save(root / "images" / f"{name}.jpg")
    Image.fromarray(_coded(one["normals"])).save(root / "normals" / f"{name}.jpg", quality=100, subsampling=0)
    Image.fromarray(255 * one["edges"]).save(root / "edge" / f"{name}.png")
    segmentation = {"segmentation": one["semseg"].astype(np.float64)}
    scipy.io.savemat(root / "segmentation" / f"{name}.mat", segmentation, do_compression=True)
    scipy.io.savemat(root / "depth" / f"{name}.mat", {"depth": one["depth"]}, do_compression=True)


def _mtinet(root: Path, name: str, one: Mapping[str, np.ndarray]) -> None:
    Image.fromarray(one["image"]).save(root / "images" / f"{name}.jpg")
    Image.fromarray(one["semseg"]).save(root / "segmentation" / f"{name}.png")
    np.save(root / "edge" / f"{name}.npy", one["edges"].astype(np.float32))
    np.save(root / "normals" / f"{name}.npy", (0 - one["normals"]).astype(np.float32))
    np.save(root / "depth" / f"{name}.npy", one["depth"])


def _invpt(root: Path, name: str, one: Mapping[str, np.ndarray]) -> None:
    Image.fromarray(one["image"]).save(root / "images" / f"{name}.png")
    Image.fromarray(one["semseg"]).save(root / "segmentation" / f"{name}.png")
    Image.fromarray(255 * one["edges"]).save(root / "edge" / f"{name}.png")
    Image.fromarray(_coded(one["normals"])).save(root / "normals" / f"{name}.png")
    np.save(root / "depth" / f"{name}.npy", one["depth"][..., None])


def _coded(normals: np.ndarray) -> np.ndarray:
    return np.rint(255 * (1 - normals) / 2).astype(np.uint8)
