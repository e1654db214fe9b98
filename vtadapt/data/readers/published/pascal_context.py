"""PASCAL-Context as the multi-task papers share it: ``PASCAL_MT.tgz`` of ASTMT, ``PASCALContext.tar.gz`` of ATRC.

Both have the same tree (facebookresearch/astmt, fblib/dataloaders/pascal_context.py; brdav/atrc, prismformore/InvPT):
``JPEGImages/ID.jpg``, ``ImageSets/Context/{train,val}.txt``, ``semseg/{VOC12,pascal-context}/ID.png`` (0..20, 255 =
void), ``human_parts/ID.mat`` (PASCAL-Part), ``normals_distill/ID.png``, ``sal_distill/ID.png`` and
``pascal-context/trainval/ID.mat`` (``LabelMap``, 459 classes), from which the boundaries are computed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from vtadapt.data.readers.base import Arrays, Item, Reader, same_size
from vtadapt.data.readers.files.arrays import read_vectors, unit_vectors
from vtadapt.data.readers.files.axes import NormalsOptions, check_axes, flip_of
from vtadapt.data.readers.files.layout import folder_with, names_in
from vtadapt.data.readers.files.strengths import read_marks, strengths
from vtadapt.data.readers.raw.door import read_map
from vtadapt.data.readers.raw.mat import read_mat, read_number_map
from vtadapt.data.recipe.strict import Stored
from vtadapt.errors import DataError
from vtadapt.tasks.class_ids import VOID

PERSON = 15  # its number among the classes of PASCAL VOC
CONTEXT = "context"  # role of the LabelMap that says where distilled normals can be trusted
# The six parts of ASTMT: what PASCAL-Part calls each. 0 is background.
PARTS = {
    "head": ("hair", "head", "lear", "lebrow", "leye", "mouth", "nose", "rear", "rebrow", "reye"),
    "torso": ("neck", "torso"),
    "upper arm": ("luarm", "ruarm"),
    "lower arm": ("lhand", "llarm", "rhand", "rlarm"),
    "upper leg": ("luleg", "ruleg"),
    "lower leg": ("lfoot", "llleg", "rfoot", "rlleg"),
}


class PascalContextOptions(NormalsOptions):
    """``normals_classes``: numbers of those classes of the ``LabelMap`` on which the normals count; empty = all.

    They were predicted by a network that had learned from NYUv2, so ASTMT keeps them only on what is seen indoors.
    ``saliency_above``: pixels of the saliency maps (0..1) above it are salient.
    """

    normals_classes: dict[str, Stored] = Field(default_factory=dict)
    saliency_above: float = Field(0.5, ge=0, lt=1)


class PascalContext(Reader):
    """The folder may be the one that holds ``JPEGImages`` or one above it."""

    Options = PascalContextOptions
    every_sample_has = "JPEGImages/ID.jpg"

    def find(self, source: Path | None, split: str) -> list[Item]:
        """One item per line of ``ImageSets/Context/SPLIT.txt``, with those label files that exist."""
        root = folder_with(source, "JPEGImages", self.recipe.source.layout)
        names = self.listed(root / "ImageSets" / "Context" / f"{split}.txt", split)
        places = self._places(root)
        listings = {folder: names_in(folder) for role in places.values() for folder, _ in role}
        return [self._item(root, name, places, listings) for name in names]

    def check(self, source: Path | None, found: Mapping[str, Sequence[Item]]) -> None:
        """See which way the normals face: nobody wrote down which way their axes point."""
        del source
        if "normals" in self.wanted:
            check_axes(self, found, "normals", self._normals)

    def load(self, item: Item) -> Arrays:
        """Picture and the labels that exist; people without annotated parts leave the parts of a sample void."""
        image = self.picture(item)
        result: Arrays = {"image": image}
        if "semseg" in item.paths:
            result["semseg"] = self.class_ids("semseg", read_map(item.paths["semseg"]), item.paths["semseg"])
        if "human_parts" in item.paths:
            result["human_parts"] = read_parts(item.paths["human_parts"], (image.shape[0], image.shape[1]))
        if "saliency" in item.paths:
            result["saliency"] = self._saliency(item.paths["saliency"])
        if "edges" in item.paths:
            result["edges"] = boundaries(read_number_map(item.paths["edges"], "LabelMap", "PASCAL-Context labels"))
        if "normals" in item.paths:
            result["normals"] = self._normals(item)
        for task, path in item.paths.items():
            if task in result:
                same_size(path, result[task], image)
        return result

    def _places(self, root: Path) -> dict[str, list[tuple[Path, str]]]:
        """Folders and suffix by role, the first that has a sample counts; only those of the tasks wanted."""
        context = [(root / "pascal-context" / "trainval", ".mat")]
        all_places = {
            "semseg": [(root / "semseg" / "VOC12", ".png"), (root / "semseg" / "pascal-context", ".png")],
            "human_parts": [(root / "human_parts", ".mat")],
            "saliency": [(root / "sal_distill", ".png")],
            "normals": [(root / "normals_distill", ".png")],
            "edges": context,
        }
        places = {task: role for task, role in all_places.items() if task in self.wanted}
        if "normals" in places and self.options.normals_classes:
            places[CONTEXT] = context
        return places

    def _item(
        self, root: Path, name: str, places: dict[str, list[tuple[Path, str]]], listings: dict[Path, set[str]]
    ) -> Item:
        paths: dict[str, Path] = {"image": root / "JPEGImages" / f"{name}.jpg"}
        absent: dict[str, Path] = {}
        for role, folders in places.items():
            files = [folder / f"{name}{suffix}" for folder, suffix in folders]
            there = next((f for f in files if f.name in listings[f.parent]), None)
            (absent if there is None else paths)[role] = there or files[0]
        if CONTEXT in absent:  # without it nobody knows where the normals count
            missing = absent.pop(CONTEXT)
            if "normals" in paths:
                del paths["normals"]
                absent["normals"] = missing
        elif "normals" not in paths:
            paths.pop(CONTEXT, None)
        return Item(name, paths, absent=absent)

    def _saliency(self, path: Path) -> NDArray[np.uint8]:
        marks = read_marks(path)
        if marks.values.dtype not in (np.uint8, bool):
            raise DataError(f"{path}: {marks.values.dtype} saliency, wanted 8 bits")
        return (strengths(marks, {"uint8": 255.0}) > self.options.saliency_above).astype(np.uint8)

    def _normals(self, item: Item) -> NDArray[np.float32]:
        path = item.paths["normals"]
        vectors = unit_vectors(read_vectors(path), flip_of(self))
        if CONTEXT in item.paths:
            labels = read_number_map(item.paths[CONTEXT], "LabelMap", "PASCAL-Context labels")
            same_size(item.paths[CONTEXT], labels, vectors)
            vectors[~np.isin(labels, list(self.options.normals_classes.values()))] = 0
        return vectors


def boundaries(labels: NDArray[Any]) -> NDArray[np.uint8]:
    """Boundaries of a map of classes as ASTMT makes them: where its 5-point Laplacian is not 0, thinned to a pixel."""
    from scipy.ndimage import laplace
    from skimage.morphology import thin

    return np.asarray(thin(laplace(labels.astype(np.float64), mode="mirror") != 0), np.uint8)


def read_parts(path: Path, size: tuple[int, int]) -> NDArray[np.uint8]:
    """The parts of all people of an annotation of PASCAL-Part (MATLAB v5).

    ``anno.objects`` is an array of structs ``class, class_ind, mask, parts``, ``parts`` one of ``part_name, mask``.

    Returns:
        (H, W) uint8: 0 background, 1.. the keys of ``PARTS`` in order; all 255 where no person has parts.

    Raises:
        DataError: not such a file, a part that is not known, or masks of another size; the message names the file.
    """
    anno = read_mat(path, "anno", "an annotation of PASCAL-Part")
    numbers = {name: i for i, names in enumerate(PARTS.values(), start=1) for name in names}
    result, people = np.zeros(size, np.uint8), 0
    try:
        objects = np.ravel(np.ravel(anno["objects"])[0])
        for one in objects:
            parts = np.ravel(one["parts"])
            if int(np.ravel(one["class_ind"])[0]) != PERSON or not parts.size:
                continue
            people += 1
            for part in parts:
                name, mask = str(np.ravel(part["part_name"])[0]), np.asarray(part["mask"])
                if name not in numbers:
                    raise DataError(f"{path}: part {name!r} of a person, wanted one of {', '.join(sorted(numbers))}")
                same_size(path, mask, result)
                result[mask.astype(bool)] = numbers[name]
    except (IndexError, KeyError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:120]
        raise DataError(f"{path}: anno is not laid out as in PASCAL-Part ({reason})") from error
    return result if people else np.full(size, VOID, np.uint8)
