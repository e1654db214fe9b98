"""Folders as people have them, and what becomes of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from tests.data.formats import annotations as made
from vtadapt.data.pack.manifest import open_pack
from vtadapt.data.prepare.options import PrepareOptions
from vtadapt.workflows.prepare.prepare_data import prepare_data
from vtadapt.workflows.prepare.recipe import write_recipe

LABELS = ["ground", "plant", "wall"]
NAMES = ["a", "b", "c", "d", "e"]
SIZE = (made.HEIGHT, made.WIDTH)


def photo(path: Path, seed: int = 0, size: tuple[int, int] = SIZE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    small = np.random.default_rng(seed).integers(0, 256, (size[0] // 4, size[1] // 4, 3), np.uint8)
    Image.fromarray(small).resize(size[::-1], Image.Resampling.BICUBIC).save(path)


def photos(folder: Path, suffix: str = ".jpg", names: list[str] = NAMES) -> None:
    for i, name in enumerate(names):
        photo(folder / f"{name}{suffix}", i + len(str(folder)))


def save(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, array) if path.suffix == ".npy" else Image.fromarray(array).save(path)


def prepared(tmp_path: Path, **options: Any) -> tuple[dict[str, Any], dict[str, dict[str, np.ndarray]], dict[str, Any]]:
    """The recipe as YAML, what the pack of it holds, and what the command said."""
    said = write_recipe(tmp_path / "mine", tmp_path / "r.yaml", None, **options)
    assert said["problems"] == []
    recipe = yaml.safe_load((tmp_path / "r.yaml").read_text(encoding="utf-8"))
    manifest = prepare_data(str(tmp_path / "r.yaml"), None, tmp_path / "data", PrepareOptions(workers=0), quiet=True)
    held = {}
    for split in manifest["splits"]:
        reader = open_pack(tmp_path / "data", manifest["name"], split)
        held |= {f"{split}/{name}": reader.read(i) for i, name in enumerate(reader.names)}
        reader.close()
    return recipe, held, said


def check(held: dict[str, dict[str, np.ndarray]], recipe: dict[str, Any], scene: list[made.Thing]) -> None:
    """Each label is what was drawn."""
    classes = recipe["tasks"]["semseg"]["classes"]
    base = classes.index("background") if "background" in classes else 255
    expected = made.painted(scene, classes, base)
    labelled = [arrays["semseg"] for arrays in held.values() if "semseg" in arrays]
    assert len(labelled) >= 4
    for label in labelled:
        np.testing.assert_array_equal(label, expected)


def ids_of(scene: list[made.Thing]) -> np.ndarray:
    return made.painted(scene, LABELS, 255)
