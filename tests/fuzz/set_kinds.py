"""Whole data sets, one file of which is damaged: tables of Hugging Face's, and annotations of label tools."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from PIL import Image

from tests.data.formats import annotations as made
from tests.fuzz.data_kinds import changed_text
from tests.fuzz.mutate import damaged
from vtadapt.data.prepare.prepare import PrepareOptions, prepare
from vtadapt.data.recipe.recipe import load_recipe

Sets = list[Path]
CLASSES = ["ground", "plant", "wall"]
ABOUT: dict[str, Any] = {"name": "mine", "title": "t", "licence": "own", "splits": ["train"]}
NAMES = ("a", "b")
OWN = {"labelme": "ann/{path}.json", "supervisely": "ann/{name}.json", "yolo": "ann/{path}.txt"}
SHARED = {"coco": "all.json", "coco_panoptic": "all.json", "cvat": "all.xml", "label_studio": "all.json"}
FORMATS = (*OWN, *SHARED)


def things() -> list[made.Thing]:
    """A scene of polygons, one with a hole, and a mask."""
    hole = made.with_hole("wall", made.rectangle("wall", 5, 4, 50, 30), made.rectangle("wall", 10, 8, 15, 12))
    mask = made.rectangle("plant", 20, 10, 40, 25)
    mask.mask_only = True
    return [hole, mask, made.triangle("ground", (24.2, 11.3), (38.1, 14.7), (27.4, 23.3))]


def make_annotated(form: str) -> Callable[[Path], Sets]:
    """What makes a set of two pictures with annotations of a format; the first path is its folder."""

    def make(folder: Path) -> Sets:
        recipe = {**ABOUT, "reader": "folder", "tasks": {"x": {"kind": "classes", "classes": CLASSES}}}
        how = {"files": {**OWN, **SHARED}[form], "format": form, "unlabelled": "ground", "line_width": 3}
        split = {"fractions": {"train": 1.0}}
        recipe["options"] = {"image": "images/*.png", "labels": {"x": how}, "split": split}
        (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
        (folder / "src" / "images").mkdir(parents=True)
        for name in NAMES:
            Image.new("RGB", (made.WIDTH, made.HEIGHT), (9, 90, 190)).save(folder / "src" / "images" / f"{name}.png")
        _annotate(form, folder / "src")
        return [folder, *sorted(path for path in (folder / "src").rglob("*.*") if path.parent.name != "images")]

    return make


def _annotate(form: str, source: Path) -> None:
    scene, pictures = things(), {f"{name}.png": things() for name in NAMES}
    for name in pictures if form in OWN else ():
        if form == "yolo":
            made.write_text(source / "ann" / f"{Path(name).stem}.txt", made.yolo(scene, CLASSES))
        elif form == "labelme":
            made.write_json(source / "ann" / f"{Path(name).stem}.json", made.labelme(scene, name))
        else:
            made.write_json(source / "ann" / f"{name}.json", made.supervisely(scene))
    if form == "cvat":
        made.write_text(source / "all.xml", made.cvat(pictures))
    elif form == "label_studio":
        made.write_json(source / "all.json", made.label_studio(pictures))
    elif form == "coco":
        made.write_json(source / "all.json", made.coco(pictures, CLASSES))
    elif form == "coco_panoptic":
        made.write_json(source / "all.json", made.coco_panoptic(source / "all", pictures, CLASSES))


def make_tables(form: str) -> Callable[[Path], Sets]:
    """What makes sets of three rows as ``parquet``, ``arrow`` or ``lists``; the first path is their folder."""

    def make(folder: Path) -> Sets:
        labels = {"semseg": {"column": "annotation", "void": [255]}, "depth": {"column": "depth", "factor": 0.001}}
        recipe = {**ABOUT, "reader": "huggingface", "options": {"labels": labels}, "tasks": {}}
        recipe["tasks"]["semseg"] = {"kind": "classes", "classes": ["a", "b", "c"]}
        recipe["tasks"]["depth"] = {"kind": "regression", "units": "m"}
        (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
        return [folder, *{"parquet": _parquets, "arrow": _arrows, "lists": _lists}[form](folder)]

    return make


def _columns() -> dict[str, list[Any]]:
    random = np.random.default_rng(8)
    columns: dict[str, list[Any]] = {"image": [], "annotation": [], "depth": []}
    for row in range(3):
        arrays = (random.integers(0, 256, (12, 16, 3), np.uint8), random.integers(0, 3, (12, 16), np.uint8))
        for name, array in zip(columns, (*arrays, random.integers(500, 4000, (12, 16)).astype(np.uint16)), strict=True):
            file = io.BytesIO()
            Image.fromarray(array).save(file, "PNG")
            columns[name].append({"bytes": file.getvalue(), "path": f"{row}.png"})
    columns["annotation"] = [None, random.integers(0, 3, (12, 16)).tolist(), [[1] * 16] * 12]
    return columns


def _parquets(folder: Path) -> Sets:
    found = []
    for i, options in enumerate(
        ({"row_group_size": 2}, {"compression": "zstd"}, {"version": "1.0", "compression": "none"})
    ):
        found.append(folder / str(i) / "src" / "train.parquet")
        found[-1].parent.mkdir(parents=True)
        pq.write_table(pa.table(_columns()), found[-1], **options)
    return found


def _arrows(folder: Path) -> Sets:
    found, content = [], pa.table(_columns())
    for i, writer in enumerate((pa.ipc.new_stream, pa.ipc.new_file)):
        found.append(folder / str(i) / "src" / "train" / "data-00000-of-00001.arrow")
        found[-1].parent.mkdir(parents=True)
        with pa.OSFile(str(found[-1]), "wb") as sink, writer(sink, content.schema) as out:
            out.write_table(content)
    return found


def _lists(folder: Path) -> Sets:
    found = []
    for i, suffix in enumerate(("jsonl", "csv")):
        root = folder / str(i) / "src" / "train"
        root.mkdir(parents=True)
        rows = [{"file_name": "0.png", "annotation": "1.png", "depth": "2.png"} for _ in range(2)]
        for name, array in (("0", np.zeros((12, 16, 3), np.uint8)), ("1", np.ones((12, 16), np.uint8))):
            Image.fromarray(array).save(root / f"{name}.png")
        Image.fromarray(np.full((12, 16), 900, np.uint16)).save(root / "2.png")
        lines = [json.dumps(row) for row in rows]
        if suffix == "csv":
            lines = [",".join(rows[0]), *(",".join(row.values()) for row in rows)]
        found.append(root / f"metadata.{suffix}")
        found[-1].write_text("\n".join(lines) + "\n")
    return found


def write_set(random: Random, seeds: Sets, folder: Path) -> None:
    """A set with one damaged file."""
    files = seeds[1:]
    path = random.choice(files)
    target, data = copy_set(seeds[0], path, folder), path.read_bytes()
    if path.suffix == ".json":
        target.write_bytes(changed_text(random, json.loads(data), data, "json"))
    else:
        target.write_bytes(damaged(random, data, [random.choice(files).read_bytes()]))


def copy_set(top: Path, path: Path, folder: Path) -> Path:
    """Copy the set that a file is of; the file's place in the copy."""
    root = next(each for each in path.parents if each.name == "src")
    shutil.copytree(root, folder / "src")
    shutil.copy(top / "recipe.yaml", folder / "recipe.yaml")
    return folder / "src" / path.relative_to(root)


def read_set(folder: Path) -> None:
    """Prepare it, which is refused or makes a pack."""
    prepare(load_recipe(folder / "recipe.yaml"), folder / "src", folder / "data", PrepareOptions())
