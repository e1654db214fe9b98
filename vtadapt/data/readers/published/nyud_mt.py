"""NYUD_MT, NYUv2 as the multi-task papers share it: images/, segmentation/, edge/, normals/, depth/ and gt_sets/.

Three archives of that name have the same folders and other files in them; which one it is, is told folder by folder:

- ASTMT (facebookresearch/astmt, fblib/dataloaders/nyud.py): images ``.jpg``, edge ``.png``, segmentation and depth
  ``.mat`` (MATLAB v5, variables ``segmentation`` and ``depth``), normals ``.jpg``;
- MTI-Net and the first ATRC (brdav/atrc, src/data/nyud.py @3525804): images ``.jpg``, segmentation ``.png``, the
  others ``.npy``;
- ATRC and InvPT, ``NYUDv2.tar.gz`` (brdav/atrc @9fc4cdf): images, edge, segmentation and normals ``.png``, depth
  ``.npy``.

Pictures of normals hold 2 v / 255 - 1, of edges v / 255; segmentation 0 = void, then 1..40.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from vtadapt.data.readers.base import Arrays, Item, Reader, same_size
from vtadapt.data.readers.files.arrays import metres, one_channel, read_vectors
from vtadapt.data.readers.files.arrays import unit_vectors as as_unit_vectors
from vtadapt.data.readers.files.axes import NormalsOptions, check_axes, flip_of
from vtadapt.data.readers.files.layout import folder_with, names_in
from vtadapt.data.readers.files.strengths import decide_over, read_marks, strengths
from vtadapt.data.readers.raw.door import read_map
from vtadapt.data.readers.raw.mat import read_number_map
from vtadapt.data.readers.raw.npy import read_npy
from vtadapt.errors import DataError

PICTURES = (".png", ".jpg")
# Folder and suffixes of each task; where a folder has files of several, the first is taken.
FOLDERS = {
    "semseg": ("segmentation", (".png", ".mat")),
    "edges": ("edge", (".npy", ".png")),
    "normals": ("normals", (".npy", ".png", ".jpg")),
    "depth": ("depth", (".npy", ".mat")),
}


class NyudMt(Reader):
    """Splits are the lists ``gt_sets/SPLIT.txt``; the folder may be the one that holds ``images`` or one above it."""

    Options = NormalsOptions
    every_sample_has = "its picture in images/"

    def find(self, source: Path | None, split: str) -> list[Item]:
        """One item per line of the split's list, with those label files that exist."""
        root = folder_with(source, "images", self.recipe.source.layout)
        names = self.listed(root / "gt_sets" / f"{split}.txt", split)
        pictures = names_in(root / "images")
        folders = {
            task: (root / folder, suffixes, names_in(root / folder))
            for task, (folder, suffixes) in FOLDERS.items()
            if task in self.wanted and task in self.recipe.tasks
        }
        items = []
        for name in names:
            paths: dict[str, Path] = {"image": _first(root / "images", name, PICTURES, pictures)[0]}
            absent: dict[str, Path] = {}
            for task, (folder, suffixes, listing) in folders.items():
                path, there = _first(folder, name, suffixes, listing)
                (paths if there else absent)[task] = path
            items.append(Item(name, paths, absent=absent))
        return items

    def check(self, source: Path | None, found: Mapping[str, Sequence[Item]]) -> None:
        """See which way the normals face, which nobody wrote down, and whether edges are 0 and 1 or 0 to 255."""
        del source
        self.decided.pop("edges.scale", None)
        edges = [item for items in found.values() for item in items if "edges" in item.roles]
        if scales := decide_over(edges, lambda item: read_marks(item.paths["edges"])):
            self.decided["edges.scale"] = scales
        if "normals" in self.wanted:
            check_axes(self, found, "normals", lambda item: self._normals(item.paths["normals"]))

    def load(self, item: Item) -> Arrays:
        """Picture and the labels that exist."""
        image = self.picture(item)
        result: Arrays = {"image": image}
        for task, path in item.paths.items():
            if task in FOLDERS:
                result[task] = self._read[task](self, path)
                same_size(path, result[task], image)
        return result

    def _semseg(self, path: Path) -> NDArray[Any]:
        mat = path.suffix == ".mat"
        raw = read_number_map(path, "segmentation", "labels 0..40") if mat else read_map(path)
        return self.class_ids("semseg", raw, path)

    def _edges(self, path: Path) -> NDArray[Any]:
        return strengths(read_marks(path), self.decided.get("edges.scale", {}))

    def _normals(self, path: Path) -> NDArray[Any]:
        return as_unit_vectors(read_vectors(path), flip_of(self))

    def _depth(self, path: Path) -> NDArray[Any]:
        mat = path.suffix == ".mat"
        raw = read_number_map(path, "depth", "depth in metres") if mat else one_channel(read_npy(path), path)
        if raw.dtype.kind != "f":
            raise DataError(f"{path}: holds {raw.dtype}, wanted depth in metres as floats")
        return metres(raw, path)

    _read = {"semseg": _semseg, "edges": _edges, "normals": _normals, "depth": _depth}


def _first(folder: Path, name: str, suffixes: Sequence[str], listing: set[str]) -> tuple[Path, bool]:
    """The file of a sample with the first suffix that is there, and whether there is one."""
    for suffix in suffixes:
        if f"{name}{suffix}" in listing:
            return folder / f"{name}{suffix}", True
    return folder / f"{name}{suffixes[0]}", False
