"""Cityscapes: leftImg8bit, gtFine or gtCoarse, disparity and camera, each SPLIT/CITY/CITY_SEQUENCE_FRAME_*.

Depth is z = baseline fx / d with disparity d = (p - 1) / 256 pixels of the 2048 columns, where p > 1 is the number in
the file (0 = not measured, 1 = no disparity); baseline (metres) and fx come from the sample's camera file. Source:
README of cityscapesScripts. It is stereo matching, so it is noisy where it is far and wrong on panes and blank walls.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from vtadapt.data.readers.base import Arrays, Item, Reader, ReaderOptions, need_folder
from vtadapt.data.readers.files.layout import folders_in, names_in
from vtadapt.data.readers.raw.door import read_map
from vtadapt.data.recipe.camera import Intrinsics
from vtadapt.errors import DataError
from vtadapt.strict_json import read_json

PICTURES = "leftImg8bit"
STEPS = 256  # of the disparity files per pixel
FULL_SIZE = (1024, 2048)  # that the camera files speak of, unless the recipe's intrinsics tell another


class CityscapesOptions(ReaderOptions):
    """``labels``: the folder that holds each split's label files; ``max_depth``: metres, see below.

    A split that ``labels`` does not name has no classes: the published files of the test split are dummies without any
    class. Depth beyond ``max_depth`` is stored as missing; null keeps all (up to 120 km for one step of disparity).
    """

    labels: dict[str, str] = {"train": "gtFine", "val": "gtFine", "train_extra": "gtCoarse"}
    max_depth: float | None = Field(None, gt=0, allow_inf_nan=False)


class Cityscapes(Reader):
    """Street scenes of 50 cities; each archive may also have been unpacked into a folder of its own."""

    Options = CityscapesOptions
    every_sample_has = "the files that were found when its folder was listed"

    def find(self, source: Path | None, split: str) -> list[Item]:
        """The pictures of a split by city and name, with those labels that are there."""
        root = need_folder(source, self.recipe.source.layout)
        if root.resolve().name == PICTURES:
            root = root.resolve().parent
        ends = self._ends(split)
        pictures = _files(root, PICTURES, split, f"_{PICTURES}.png")
        labels = {role: _files(root, kind, split, end) for role, (kind, end) in ends.items()}
        if not pictures and split not in self.options.optional_splits:
            looked = f"{PICTURES}/{split}/CITY/*_{PICTURES}.png"
            raise DataError(f"{root}: no pictures {looked}; wanted {self.recipe.source.layout}")
        items = []
        for name, image in sorted(pictures.items()):
            there = {role: files[name] for role, files in labels.items() if name in files}
            lost = {r: root / k / split / f"{name}{end}" for r, (k, end) in ends.items() if r not in there}
            items.append(_item(name, image, there, lost))
        return items

    def load(self, item: Item) -> Arrays:
        """Picture, class ids with void as 255, and z-depth in metres with 0 = missing."""
        return self.picture_and(
            item,
            {
                "semseg": lambda path: self.class_ids("semseg", read_map(path), path),
                "depth": lambda path: self._depth(path, item.paths["camera"]),
            },
        )

    def camera(self, item: Item, size: tuple[int, int]) -> Intrinsics | None:
        """The sample's own camera where its file was found with its depth, else the recipe's."""
        usual = super().camera(item, size)
        if "camera" not in item.paths:
            return usual
        recipe = self.recipe.intrinsics
        height, width = FULL_SIZE if recipe is None else (recipe.height, recipe.width)
        values = read_camera(item.paths["camera"])
        own = Intrinsics(fx=values["fx"], fy=values["fy"], cx=values["u0"], cy=values["v0"], width=width, height=height)
        return own.resized(*size)

    def _ends(self, split: str) -> dict[str, tuple[str, str]]:
        """For each kind of file that is wanted and that the split has: its folder, and how its names end."""
        ends = {}
        if "semseg" in self.wanted and split in self.options.labels:
            folder = self.options.labels[split]
            ends["semseg"] = (folder, f"_{folder}_labelIds.png")
        if "depth" in self.wanted:
            ends |= {"depth": ("disparity", "_disparity.png"), "camera": ("camera", "_camera.json")}
        return ends

    def _depth(self, path: Path, camera: Path) -> NDArray[np.float32]:
        raw = read_map(path)
        if raw.dtype == np.uint8:
            raise DataError(f"{path}: 8-bit disparity, wanted the 16-bit PNG as published, (disparity x 256) + 1")
        values = read_camera(camera)
        known = raw > 1
        disparity = (raw.astype(np.float64) - 1) / STEPS
        depth = np.divide(values["baseline"] * values["fx"], disparity, out=np.zeros(raw.shape), where=known)
        if self.options.max_depth is not None:
            depth[depth > self.options.max_depth] = 0
        with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite: missing
            return depth.astype(np.float32)


def read_camera(path: Path) -> dict[str, float]:
    """``baseline`` in metres, and ``fx``, ``fy``, ``u0``, ``v0`` in pixels of the full picture, from a camera file.

    Raises:
        DataError: no JSON, or one of these numbers is missing or cannot be one of a camera.
    """
    try:
        content: Any = read_json(path)
        values = {"baseline": content["extrinsic"]["baseline"]}
        values |= {key: content["intrinsic"][key] for key in ("fx", "fy", "u0", "v0")}
        result = {key: float(value) for key, value in values.items()}
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file") from error
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        problem = f"{type(error).__name__}: {' '.join(str(error).split())[:100]}"
        wanted = "extrinsic.baseline and intrinsic.fx, fy, u0, v0 in JSON"
        raise DataError(f"{path}: broken camera file ({problem}), wanted {wanted}") from error
    if not all(math.isfinite(v) for v in result.values()) or min(result[k] for k in ("baseline", "fx", "fy")) <= 0:
        raise DataError(f"{path}: camera with {result}, wanted baseline, fx and fy above 0")
    return result


def _item(name: str, image: Path, there: dict[str, Path], lost: dict[str, Path]) -> Item:
    """One sample; it has depth only where both the disparity and the camera are there."""
    if "depth" in lost or "camera" in lost:
        there = {role: path for role, path in there.items() if role not in ("depth", "camera")}
        path = lost.pop("camera", None)
        if path is not None:
            lost.setdefault("depth", path)
    return Item(name, {"image": image, **there}, absent=lost)


def _files(root: Path, kind: str, split: str, end: str) -> dict[str, Path]:
    """Files KIND/SPLIT/CITY/STEM + ``end`` by "CITY/STEM"; each city is listed once.

    They lie in ``root`` or in a folder directly in it, as archives are unpacked one by one; the first one found counts.
    """
    found: dict[str, Path] = {}
    for top in (root, *folders_in(root)):
        cities = folders_in(top / kind / split) if (top / kind / split).is_dir() else []
        for city in cities:
            stems = (n.removesuffix(end) for n in names_in(city) if n.endswith(end))
            found = {f"{city.name}/{stem}": city / f"{stem}{end}" for stem in stems} | found
    return found
