"""Small good sources in the original formats, by the name that the kinds of broken input use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from tests.data.conftest import write_camvid, write_sevenscenes
from tests.data.formats.bsds500 import write_bsds500
from tests.data.formats.cityscapes import write_cityscapes
from tests.data.formats.hypersim import write_hypersim, write_split
from tests.data.formats.mtan import write_mtan_nyuv2
from tests.data.formats.nyud_mt import write_nyud_mt
from tests.data.formats.nyuv2 import write_nyuv2
from tests.data.formats.pascal_context import write_pascal_context
from tests.data.formats.synthia import write_synthia
from tests.data.formats.taskonomy import write_taskonomy
from tests.data.formats.vkitti2 import write_vkitti2

MAT = "nyu_depth_v2_labeled.mat"
FRAMES = "metadata_images_split_scene_v1.csv"


@dataclass(frozen=True)
class Good:
    """A source: what writes it, the recipe that reads it (default: its name), and further arguments."""

    write: Callable[[Path], object]
    recipe: str = ""
    arguments: tuple[str, ...] = ("--size", "native")


def _hypersim(root: Path) -> None:
    frames = [("ai_001_001", "cam_00", 0), ("ai_002_001", "cam_00", 3)]
    write_hypersim(root, frames)
    write_split(root / FRAMES, [(*frames[0], "train"), (*frames[1], "val")])


def _folder(root: Path) -> None:
    """Pictures of two places with classes (0 = void), depth in centimetres, normals and a list per split."""
    random = np.random.default_rng(4)
    for i in range(4):
        image = random.integers(0, 256, (12, 16, 3), dtype=np.uint8)
        label = random.integers(0, 3, (12, 16), dtype=np.uint8)
        depth = random.integers(0, 900, (12, 16)).astype(np.uint16)
        normals = np.broadcast_to(np.array([0.6, 0, -0.8], np.float32), (12, 16, 3))
        for kind, array in (("pictures", image), ("labels", label), ("depth", depth)):
            (root / kind / "ä b").mkdir(parents=True, exist_ok=True)
            Image.fromarray(array).save(root / kind / "ä b" / f"{i}.png")
        (root / "normals" / "ä b").mkdir(parents=True, exist_ok=True)
        np.save(root / "normals" / "ä b" / f"{i}.npy", normals)
        np.save(root / "normals" / "ä b" / f"heat{i}.npy", depth.astype(np.float64))
    (root / "train.txt").write_text("0\n1\n2\n")
    (root / "val.txt").write_text("ä b/3\n", encoding="utf-8")
    labels = {
        "semseg": {"files": "labels/{path}.png", "ids": {1: "plant", 2: "ground"}, "void": [0]},
        "depth": {"files": "depth/{path}.png", "factor": 0.01, "missing": [0]},
        "normals": {"files": "normals/{path}.npy"},
        "warmth": {"files": "normals/ä b/heat{stem}.npy"},
    }
    recipe = {
        "name": "mine",
        "title": "my own",
        "licence": "mine",
        "reader": "folder",
        "splits": ["train", "val"],
        "tasks": {
            "semseg": {"kind": "classes", "classes": ["ground", "plant"]},
            "depth": {"kind": "regression", "units": "m", "distance": True},
            "normals": {"kind": "unit_vector"},
            "warmth": {"kind": "regression"},
        },
        "options": {"image": "pictures/**/*.*", "labels": labels, "split": {"lists": "{split}.txt"}},
    }
    (root.parent / "mine.yaml").write_text(yaml.safe_dump(recipe, allow_unicode=True), encoding="utf-8")


GOOD: dict[str, Good] = {
    "bsds500": Good(lambda root: write_bsds500(root, {"train": 2, "val": 1})),
    "camvid": Good(lambda root: write_camvid(root, {"train": 2, "val": 1})),
    "cityscapes": Good(lambda root: write_cityscapes(root, {"train": 2, "val": 1})),
    "folder": Good(_folder, "../mine.yaml"),
    "hypersim": Good(_hypersim),
    "mtan_nyuv2": Good(lambda root: write_mtan_nyuv2(root, {"train": 2, "val": 1})),
    "nyud_mt": Good(lambda root: write_nyud_mt(root, "invpt", {"train": 2, "val": 1})),
    "nyud_astmt": Good(lambda root: write_nyud_mt(root, "astmt", {"train": 2, "val": 1}), "nyud_mt"),
    "nyuv2": Good(lambda root: write_nyuv2(root / MAT, (1, 3)), "", ("--size", "24x32", "--limit", "1")),
    "pascal_context": Good(lambda root: write_pascal_context(root, {"train": 2, "val": 1})),
    "sevenscenes": Good(lambda root: write_sevenscenes(root, 1), "", ("--size", "24x32", "--tasks", "depth")),
    "synthia": Good(lambda root: write_synthia(root, 3)),
    "taskonomy": Good(lambda root: write_taskonomy(root, ["Allensville", "collierville"], views=((0, 0),))),
    "vkitti2": Good(lambda root: write_vkitti2(root, variants=("clone",))),
}
