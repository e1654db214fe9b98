"""Packs, manifests and recipes: whole ones, and all that reads them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import numpy as np
import yaml
from PIL import Image

from tests.fuzz.mutate import changed, damaged
from vtadapt.checked import parse_json
from vtadapt.data.pack.manifest import has_pack, in_place, manifest_recipe, open_manifest, open_pack, verify
from vtadapt.data.prepare.prepare import PrepareOptions, prepare
from vtadapt.data.recipe.recipe import load_recipe, recipe_folders
from vtadapt.errors import VtadaptError

NAME = "mine"
RECIPE: dict[str, Any] = {
    "name": NAME, "title": "t", "licence": "own", "reader": "folder", "splits": ["train", "val"], "size": [16, 24],
    "intrinsics": {"fx": 20.0, "fy": 20.0, "cx": 11.5, "cy": 7.5, "width": 24, "height": 16},
    "tasks": {
        "semseg": {"kind": "classes", "classes": ["a", "b", "c"], "label_set": "abc"},
        "depth": {"kind": "regression", "units": "m", "max_value": 50.0},
        "normals": {"kind": "unit_vector", "derived": True, "derive": {"method": "plane_fit", "source": "depth"}},
        "edges": {"kind": "boundary", "derived": True, "derive": {"method": "class_boundaries", "source": "semseg"}},
    },
    "label_sets": {"ab": {"classes": ["a", "b"], "colours": [[1, 2, 3], [4, 5, 6]], "ids": {0: "a", 1: "b", 2: "b"}}},
    "class_maps": {"xy": {"a": "x", "b": "y", "c": None}},
    "options": {
        "image": "images/*.png",
        "labels": {"semseg": {"files": "labels/{path}.png", "void": [255]},
                   "depth": {"files": "depth/{stem}.npy", "missing": [0]}},
        "split": {"fractions": {"train": 0.5, "val": 0.5}, "seed": 0},
    },
}  # fmt: skip


class Recipes(NamedTuple):
    """Trees and texts of recipes, and a folder of pictures for the first of them."""

    trees: list[Any]
    texts: list[bytes]
    source: Path


def write_source(root: Path, count: int = 4) -> Path:
    """Pictures with labels of classes and depth."""
    random = np.random.default_rng(7)
    for name in ("images", "labels", "depth"):
        (root / name).mkdir(parents=True)
    for i in range(count):
        Image.fromarray(random.integers(0, 256, (16, 24, 3), np.uint8)).save(root / "images" / f"p{i}.png")
        Image.fromarray(random.integers(0, 3, (16, 24), np.uint8)).save(root / "labels" / f"p{i}.png")
        np.save(root / "depth" / f"p{i}.npy", (1 + random.random((16, 24))).astype(np.float32))
    (root / "train.txt").write_text("p0\np1\n")
    (root / "val.txt").write_text("p2\np3\n")
    return root


def make_pack(folder: Path) -> Path:
    """A folder with one pack; its two splits are small."""
    source = write_source(folder / "source")
    (folder / "mine.yaml").write_text(yaml.safe_dump(RECIPE))
    prepare(load_recipe(folder / "mine.yaml"), source, folder / "data", PrepareOptions())
    return folder / "data"


def write_pack(random: Random, data: Path, folder: Path) -> None:
    """The pack with one damaged file."""
    shutil.copytree(data, folder / "data")
    files = sorted(path for path in (folder / "data" / NAME).iterdir() if path.name != "manifest.json")
    path = random.choice(files)
    path.write_bytes(damaged(random, path.read_bytes(), [random.choice(files).read_bytes()]))


def write_manifest(random: Random, data: Path, folder: Path) -> None:
    """The pack with another manifest; half of them have no checksum, as from a hostile hand."""
    shutil.copytree(data, folder / "data")
    path = folder / "data" / NAME / "manifest.json"
    data = path.read_bytes()
    if random.random() < 0.5:
        data = json.dumps(parse_json(data), indent=1).encode()
    path.write_bytes(changed_text(random, json.loads(data), data, "json"))


def read_pack(folder: Path) -> None:
    """What is read of a pack by whoever trains on it, checks it, or prepares it again."""
    data = folder / "data"
    if not has_pack(data, NAME):
        return
    refusals: list[VtadaptError] = []
    for look in (_read_all, _look):
        try:
            look(data)
        except VtadaptError as error:
            refusals.append(error)
    if refusals:
        raise refusals[0]


def _read_all(data: Path) -> None:
    for split in open_manifest(data, NAME)["splits"]:
        reader = open_pack(data, NAME, split)
        for i in range(len(reader)):
            reader.read(i)
        reader.close()


def _look(data: Path) -> None:
    verify(data, NAME)
    known = manifest_recipe(open_manifest(data, NAME))
    in_place(data, known)
    json.dumps(known.hash)


def make_recipes(folder: Path) -> Recipes:
    """The recipe of one's own pictures, and all that come with vtadapt."""
    texts = [yaml.safe_dump(RECIPE, sort_keys=False).encode()]
    texts += [path.read_bytes() for each in recipe_folders() for path in sorted(each.glob("*.yaml"))]
    return Recipes([yaml.safe_load(text) for text in texts], texts, write_source(folder / "source"))


def write_recipe(random: Random, seeds: Recipes, folder: Path) -> None:
    """A changed recipe; half of the time that of the pictures beside it."""
    which = 0 if random.random() < 0.5 else random.randrange(len(seeds.trees))
    (folder / "recipe.yaml").write_bytes(changed_text(random, seeds.trees[which], seeds.texts[which], "yaml"))
    (folder / "source").symlink_to(seeds.source)


def read_recipe(folder: Path) -> None:
    """Prepare with it, which is refused or makes a pack."""
    recipe = load_recipe(folder / "recipe.yaml")
    assert recipe.hash
    if recipe.source.synthetic:  # renders as much as it says, which is its purpose
        return
    prepare(recipe, (folder / "source").resolve(), folder / "data", PrepareOptions())


def changed_text(random: Random, tree: Any, text: bytes, kind: str) -> bytes:
    """Bytes of a changed tree, or changed bytes."""
    if random.random() < 0.25:
        return damaged(random, text)
    tree = changed(random, tree)
    written = yaml.safe_dump(tree, sort_keys=False, allow_unicode=True) if kind == "yaml" else json.dumps(tree)
    return written.encode("utf-8", "surrogatepass")
