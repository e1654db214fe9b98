"""Taskonomy: pictures of buildings with a folder of labels ("domain") per task, whatever part of it was downloaded.

Three trees are understood, of any subset of buildings and domains, and the folder of a single building::

    BUILDING/DOMAIN/point_P_view_V_domain_TOKEN.png
    DOMAIN/BUILDING/point_P_view_V_domain_TOKEN.png
    DOMAIN/taskonomy/BUILDING/point_P_view_V_domain_TOKEN.png      (as Omnidata's downloader lays them out)

Names of domains as in the release of 2021 and as in the sample building of 2018; TOKEN is not always the folder's name.
"""

from __future__ import annotations

import functools
import json
import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from vtadapt.data.pack.labels import storage
from vtadapt.data.readers.base import Arrays, Item, Reader, ReaderOptions, need_folder, same_size
from vtadapt.data.readers.files.layout import folders_in
from vtadapt.data.readers.raw.door import read_map, read_raster
from vtadapt.data.readers.raw.raster import need_exact, need_upright
from vtadapt.data.recipe.recipe import Intrinsics, Recipe
from vtadapt.errors import ConfigError, DataError, near_matches
from vtadapt.strict_json import read_json

# By role: the folder's names, the newer first. A file counts if its token is one of them or of TOKENS.
DOMAINS: dict[str, tuple[str, ...]] = {
    "image": ("rgb",),
    "semseg": ("segment_semantic", "segmentsemantic"),
    "depth": ("depth_zbuffer", "depth"),
    "depth_euclidean": ("depth_euclidean", "mist"),
    "normals": ("normal",),
    "edges": ("edge_occlusion", "edge"),
    "edges_texture": ("edge_texture", "edge2d"),
    "keypoints2d": ("keypoints2d", "keypoint2d"),
    "keypoints3d": ("keypoints3d", "keypoint"),
    "principal_curvature": ("principal_curvature", "curvature"),
    "reshading": ("reshading", "reshade"),
    "mask": ("mask_valid",),
    "camera": ("point_info", "points"),
}
TOKENS = {"semseg": "segmentsemantic", "mask": "depth_zbuffer", "camera": "fixatedpose"}
FILE = re.compile(r"point_(\d+)_view_(\d+)_domain_(\w+)\.(?:png|json)")
FromMesh = Literal["depth", "depth_euclidean", "normals", "edges", "keypoints3d", "principal_curvature", "reshading"]
Labelled = FromMesh | Literal["semseg", "edges_texture", "keypoints2d"]
TABLE = Path(__file__).parents[2] / "tables" / "taskonomy.json"
PARTITIONS = ("tiny", "medium", "full", "fullplus")
SHORTEST = 0.5  # a shorter vector is no normal: rounding to 8 bits changes lengths by under 0.01
View = tuple[int, int]
Place = dict[str, list[Path]]  # role -> folders in which a building's files of it may lie, the newer name first


class TaskonomyOptions(ReaderOptions):
    """Which buildings are used, and in which split.

    ``partition``: of the published splits; the default has all buildings that are in any. Buildings that are only in a
    larger one are left out. ``buildings``: only these. ``assign``: split of a building, in place of the table's, or of
    one that is in no table. ``mask``: tasks whose labels are missing where ``mask_valid`` is 0: by default those that
    were rendered from the mesh, which has holes that the photographs have not.
    """

    partition: Literal["tiny", "medium", "full", "fullplus"] = "fullplus"
    buildings: tuple[str, ...] | None = None
    assign: dict[str, str] = {}
    mask: tuple[Labelled, ...] = get_args(FromMesh)


class Taskonomy(Reader):
    """See the module's page. Broken files are met when they are loaded; labels that are not there are ``absent``."""

    Options = TaskonomyOptions

    def __init__(self, recipe: Recipe, size: tuple[int, int] | None = None, tasks: Sequence[str] | None = None) -> None:
        super().__init__(recipe, size, tasks)
        if unknown := [s for s in self.options.assign.values() if s not in recipe.splits]:
            raise ConfigError(f"recipe {recipe.name!r}, options.assign: {unknown[0]!r} is none of its splits")

    def find(self, source: Path | None, split: str) -> list[Item]:
        """One item per picture of the split's buildings, by point and view."""
        root = need_folder(source, self.recipe.source.layout)
        places = find_buildings(root)
        if not places:
            raise DataError(f"{root}: no BUILDING/rgb or rgb/BUILDING folders; wanted {self.recipe.source.layout}")
        items = [item for name in self._of_split(root, places, split) for item in self._items(name, places[name])]
        if not items and split not in self.options.optional_splits:
            held = f"{len(places)} buildings ({', '.join(sorted(places)[:5])}{', ...' * (len(places) > 5)})"
            raise DataError(
                f"{root}: no pictures for split {split!r} in {held}; add a building of that split "
                f"(such as {', '.join(self._listed(split)[:3]) or 'none'}), or give one with options.assign"
            )
        return items

    def load(self, item: Item) -> Arrays:
        """Picture and the labels that are there, with what the mask rules out as missing."""
        image = self.picture(item)
        result: Arrays = {"image": image}
        for task, read in READ.items():
            if task in item.paths:
                path = item.paths[task]
                result[task] = self.class_ids(task, read_map(path), path) if read is None else read(path)
                same_size(path, result[task], image)
        if "mask" in item.paths:
            mask = read_map(item.paths["mask"])
            same_size(item.paths["mask"], mask, image)
            for task in set(result) & set(self.options.mask):
                result[task][mask == 0] = storage(self.recipe.tasks[task], result[task].dtype).missing
        return result

    def camera(self, item: Item, size: tuple[int, int]) -> Intrinsics | None:
        """From the view's ``point_info`` (its field of view is that of the width); None where that is not there."""
        if "camera" not in item.paths:
            return None
        path = item.paths["camera"]
        try:
            content = read_json(path)
            fov = float(content["field_of_view_rads"])
        except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            raise DataError(f"{path}: wanted JSON with field_of_view_rads ({type(error).__name__})") from error
        if not 0 < fov < math.pi:
            raise DataError(f"{path}: field_of_view_rads {fov:g}, wanted more than 0 and less than pi")
        height, width = size
        f = width / 2 / math.tan(fov / 2)
        return Intrinsics(fx=f, fy=f, cx=(width - 1) / 2, cy=(height - 1) / 2, width=width, height=height)

    def _listed(self, split: str) -> list[str]:
        """Buildings of a split in the chosen partition."""
        parts = published().get(split, {})
        return [b for p in PARTITIONS[: PARTITIONS.index(self.options.partition) + 1] for b in parts.get(p, [])]

    def _of_split(self, root: Path, places: Mapping[str, Place], split: str) -> list[str]:
        """Names of the folders that belong to ``split``, sorted."""
        of = {b: s for s, parts in published().items() for names in parts.values() for b in names}
        listed = {b: s for s in published() for b in self._listed(s)}
        assigned = {b.lower(): s for b, s in self.options.assign.items()}
        folders = {name.lower(): name for name in places}
        if len(folders) < len(places):
            twice = next(n for n in sorted(places) if folders[n.lower()] != n)
            raise DataError(f"{root}: buildings {twice!r} and {folders[twice.lower()]!r} differ only in case; keep one")
        only = None if self.options.buildings is None else [b.lower() for b in self.options.buildings]
        for name in only if only is not None else ():
            if name not in folders:
                raise DataError(f"{root}: no building {name!r} (options.buildings).{near_matches(name, folders)}")
            if name in of and name not in {**listed, **assigned}:
                part = next(p for p in PARTITIONS if name in published()[of[name]][p])
                raise DataError(
                    f"{root}: building {name!r} (options.buildings) is not in partition {self.options.partition!r} "
                    f"but in {part!r}; set options.partition, or give its split with options.assign"
                )
        wanted = set(folders) if only is None else set(only)
        if unknown := sorted(b for b in wanted if b not in of and b not in assigned):
            raise DataError(
                f"{root}: building {folders[unknown[0]]!r} is in no published split ({len(unknown)} such); give its "
                f"split with options.assign: {{{unknown[0]}: train}}, or list those to use in options.buildings"
            )
        return sorted(folders[b] for b in wanted if {**listed, **assigned}.get(b) == split)

    def _items(self, building: str, place: Place) -> list[Item]:
        """One listing of each folder that is wanted."""
        roles = [task for task in self.recipe.tasks if task in self.wanted and task in READ]
        found = {role: list_views(place[role], role) for role in ("image", *roles)}
        how = [self.recipe.tasks[t].derive for t in self.wanted]
        if set(roles) & set(self.options.mask):
            found["mask"] = list_views(place["mask"], "mask")
        if any(h is not None and h.method != "class_boundaries" for h in how):
            found["camera"] = list_views(place["camera"], "camera")
        items = []
        for point, view in sorted(found["image"]):
            name = f"point_{point}_view_{view}"
            paths = {role: files[point, view] for role, files in found.items() if (point, view) in files}
            tokens = {role: TOKENS.get(role, DOMAINS[role][0]) for role in roles if role not in paths}
            absent = {role: place[role][0] / f"{name}_domain_{token}.png" for role, token in tokens.items()}
            items.append(Item(f"{building}/{name}", paths, absent=absent))
        return items


@functools.cache
def published() -> dict[str, dict[str, list[str]]]:
    """Buildings of the published splits: split -> partition -> those that the smaller partitions do not have."""
    splits: dict[str, dict[str, list[str]]] = json.loads(TABLE.read_text(encoding="utf-8"))["splits"]
    return splits


def find_buildings(root: Path, deeper: bool = True) -> dict[str, Place]:
    """Buildings that have a folder for pictures, by the folder's name, in whichever tree (see the module's page).

    With ``deeper``, ``root`` may also be a folder that holds nothing but the tree.
    """
    if (root / "rgb").is_dir():
        if list_views([root / "rgb"], "image"):
            return {root.resolve().name: _place(root, "")}
        inner = "taskonomy" if (root / "rgb" / "taskonomy").is_dir() else ""
        return {p.name: _place(root, f"{inner}/{p.name}") for p in folders_in(root / "rgb" / inner)}
    inside = [folder.name for folder in folders_in(root)]
    found = {b: _place(root / b, "") for b in inside if (root / b / "rgb").is_dir()}
    if len(inside) == 1 and deeper and not list_views([root / inside[0] / "rgb"], "image"):
        return find_buildings(root / inside[0], deeper=False)
    return found


def _place(root: Path, below: str) -> Place:
    return {role: [root / name / below.strip("/") for name in names] for role, names in DOMAINS.items()}


def list_views(folders: Sequence[Path], role: str) -> dict[View, Path]:
    """The files of a role by point and view; of several, those of the first folder. Folders need not be there."""
    found: dict[View, Path] = {}
    for folder in reversed(folders):
        try:
            with os.scandir(folder) as entries:
                names = [match for e in entries if (match := FILE.fullmatch(e.name))]
        except (FileNotFoundError, NotADirectoryError):
            continue
        tokens = (*DOMAINS[role], TOKENS.get(role))
        found |= {(int(m[1]), int(m[2])): folder / m[0] for m in names if m[3] in tokens}
    return found


def _sixteen_bits(path: Path) -> NDArray[np.float32]:
    raw = read_map(path)
    if raw.dtype == np.uint8:
        raise DataError(f"{path}: 8-bit picture, wanted 16 bits and one channel, as published")
    return raw.astype(np.float32)


def _eight_bits(path: Path, modes: Sequence[str]) -> NDArray[np.float32]:
    """(H, W, C); a grey picture as one channel."""
    raster = read_raster(path)
    need_exact(raster, path, "labels")
    need_upright(raster, path)
    if raster.mode not in modes or raster.full != 255:
        found = f"{'' if raster.full == 255 else '16-bit '}picture of mode {raster.mode}"
        raise DataError(f"{path}: {found}, wanted 8 bits and mode {' or '.join(modes)}")
    return np.atleast_3d(raster.array).astype(np.float32)


def _metres(path: Path) -> NDArray[np.float32]:
    """1/512 m, 65535 = missing."""
    raw = _sixteen_bits(path)
    return np.where(raw == 65535, 0, raw / 512).astype(np.float32)


def _share(path: Path, highest: float = 1.0) -> NDArray[np.float32]:
    """Shares of the full scale, cut at ``highest`` and divided by it."""
    return np.minimum(_sixteen_bits(path) / np.float32(65535 * highest), np.float32(1))


def _normals(path: Path) -> NDArray[np.float32]:
    """Unit vectors of v / 127.5 - 1 with x right, y down, z away; missing where all channels are 128."""
    raw = _eight_bits(path, ("RGB", "RGBA"))[..., :3]
    vectors = raw / np.float32(127.5) - 1
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    known = (raw != 128).any(axis=-1, keepdims=True) & (length > SHORTEST)
    return np.where(known, vectors / np.where(known, length, 1), 0).astype(np.float32)


def _curvature(path: Path) -> NDArray[np.float32]:
    """(v - 127) / 127 of the first two channels."""
    return (_eight_bits(path, ("RGB", "RGBA", "LA"))[..., :2] - 127) / np.float32(127)


def _grey(path: Path) -> NDArray[np.float32]:
    """Shares of 255; the mean of three channels."""
    return _eight_bits(path, ("L", "RGB", "RGBA"))[..., :3].mean(axis=-1) / np.float32(255)


# What reads the files of a task; None for class ids.
READ: dict[str, Callable[[Path], NDArray[Any]] | None] = {
    "semseg": None,
    "depth": _metres,
    "depth_euclidean": _metres,
    "normals": _normals,
    "edges": _share,
    "edges_texture": functools.partial(_share, highest=0.25),
    "keypoints2d": _share,
    "keypoints3d": _share,
    "principal_curvature": _curvature,
    "reshading": _grey,
}
