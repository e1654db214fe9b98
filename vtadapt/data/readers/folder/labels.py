"""A label file of the folder reader, read as its recipe says: one function per kind of task."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vtadapt.data.readers.files.arrays import read_vectors, unit_vectors
from vtadapt.data.readers.files.said import Said, need_in_reach
from vtadapt.data.readers.files.strengths import Marks, strengths
from vtadapt.data.readers.folder.colours import ColourKey
from vtadapt.data.readers.folder.label_files import LabelFiles
from vtadapt.data.readers.raw.door import read_raster
from vtadapt.data.readers.raw.raster import COLOURED, Raster, is_grey, need_exact, numbers, with_used_entries
from vtadapt.data.recipe.label_sets import LabelSet, map_ids
from vtadapt.data.recipe.task import RecipeTask
from vtadapt.errors import DataError
from vtadapt.tasks.class_ids import VOID
from vtadapt.tasks.spec import Colour


@dataclass(frozen=True)
class Labelling:
    """All that is said of the labels of one task.

    ``label_set``: how numbers become classes, where a list of the recipe says it. ``scales``: the number of a whole
    boundary, by type of file, as it was decided for the set.
    """

    task: str
    spec: RecipeTask
    how: LabelFiles
    label_set: LabelSet | None = None
    scales: Mapping[str, float] = field(default_factory=dict)

    @property
    def where(self) -> str:
        """The recipe's key of the options, for messages."""
        return f"options.labels.{self.task}"

    @property
    def said(self) -> Said:
        """What is said of the numbers of boundaries."""
        return Said(self.how.threshold, self.how.scale, self.where)

    @property
    def colour_key(self) -> ColourKey:
        """Which colour of label pictures stands for which class: those of the files, else those of the task."""
        ids: dict[Colour, int] = {}
        if self.how.colours:
            place = {name: position for position, name in enumerate(self.spec.classes)}
            for name, colours in self.how.colours.items():
                ids |= dict.fromkeys(colours, VOID if name is None else place[name])
        else:
            ids = {colour: position for position, colour in enumerate(self.spec.colours)}
        ids |= dict.fromkeys(self.how.void_colours, VOID)
        return ColourKey(ids, self.how.tolerance, self.how.others, self.where)


def read_label(path: Path, given: Labelling) -> tuple[NDArray[Any], int]:
    """A label as it is stored in packs, but not turned, and the orientation that its file says (1 = none).

    Raises:
        DataError: a file that is broken, or whose numbers are not what was said; the message names it.
    """
    raster = read_raster(path, given.how.variable)
    return READ[given.spec.behaviour.file_form](raster, path, given), raster.orientation


def read_marks(path: Path, given: Labelling) -> Marks:
    """The numbers of a boundary file, before it is known which of them is a whole edge."""
    return _marks(read_raster(path, given.how.variable), path, given)


def known_pixels(raw: NDArray[Any], path: Path, given: Labelling) -> NDArray[np.bool_]:
    """Mask of what is finite and none of the values that mean "missing", compared in the type of the file.

    65.535 in a file of float32 is the float32 next to 65.535; in one of float64 that float32 is meant, too: many are
    made of files of float32.

    Raises:
        DataError: a fraction is to be missing in a file of whole numbers, where it would never be found.
    """
    floats = raw.dtype.kind == "f"
    known = np.isfinite(raw) if floats else np.ones(raw.shape, bool)
    for value in given.how.missing:
        if floats:
            with np.errstate(over="ignore"):  # what the type cannot hold is infinite in the file, too
                known &= (raw != raw.dtype.type(value)) & (raw != np.float32(value))
        elif math.isfinite(value) and value != int(value):
            found = f"whole numbers ({raw.dtype}), of which none is {value:g}"
            wanted = f"in 'missing' of {given.where} write the file's own number, before 'factor'"
            raise DataError(f"{path}: {found}; {wanted}")
        elif math.isfinite(value):
            known &= raw != int(value)
    return known


def _numbers(raster: Raster, path: Path, given: Labelling) -> NDArray[Any]:
    reading = None if given.how.read == "colours" else given.how.read
    if given.spec.behaviour.file_form != "ids":  # whose palettes hold colours of classes that are not in this picture
        raster = with_used_entries(raster)
    return numbers(raster, path, reading, f"write 'read: stored' or 'read: grey' in {given.where}")


def _flat(array: NDArray[Any], path: Path) -> NDArray[Any]:
    if array.ndim != 2:
        raise DataError(f"{path}: holds an array of shape {array.shape}, wanted (H, W) or (H, W, 1)")
    return array


def _classes(raster: Raster, path: Path, given: Labelling) -> NDArray[Any]:
    if given.how.coloured:
        key = given.colour_key
        if raster.lossy and key.exact:
            raise DataError(
                f"{path}: {raster.lossy}, which changes colours near borders; wanted PNG, or say in {given.where} "
                "'tolerance: 32' with 'others: void' (what lies between two classes is void) or 'others: nearest'"
            )
        return key.of(raster, path)
    need_exact(raster, path, "class ids")
    if raster.mode in COLOURED and not is_grey(raster):
        raise DataError(
            f"{path}: picture of colours (mode {raster.mode}), wanted ids in one channel; write "
            f"'colours: {{CLASS: [R, G, B], ...}}' in {given.where}, or 'read: colours' where the task's 'colours' are "
            "those of its classes"
        )
    raw = _flat(_numbers(raster, path, given), path)
    unknown = ~np.isfinite(raw) if raw.dtype.kind == "f" else None
    if unknown is not None and unknown.any():
        raw = np.where(unknown, 0, raw)
    if given.label_set is not None and given.label_set.ids:
        result = given.label_set.convert(raw, str(path))
    else:
        result = map_ids(raw, _ids(given), str(path), f"; name others in 'ids' or 'void' of {given.where}")
    if unknown is not None:
        result[unknown] = VOID
    return result


def _ids(given: Labelling) -> dict[int, int]:
    """What each number of the files becomes."""
    classes = given.spec.classes
    ids = given.how.ids
    if ids is None:
        named = {number: number for number in range(len(classes))}
    else:
        place = {name: position for position, name in enumerate(classes)}
        named = {number: VOID if name is None else place[name] for number, name in ids.items()}
    return {**named, **dict.fromkeys(given.how.void, VOID)}


def _regression(raster: Raster, path: Path, given: Labelling) -> NDArray[Any]:
    if given.spec.distance or given.how.missing:
        need_exact(raster, path, "distances, and of codes for missing ones")
    palette = with_used_entries(raster).palette if given.how.read is None else None
    if palette is not None and (palette != palette[:, :1]).any():
        found = "a palette of colours, wanted grey"
        raise DataError(f"{path}: {found}; 'read: stored' in {given.where} takes its indices")
    raw = _numbers(raster, path, given)
    missing = 0.0 if given.spec.distance else math.nan
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite
        scaled = raw * np.float32(given.how.factor)
        return np.where(known_pixels(raw, path, given), scaled, missing).astype(np.float32)


def _vectors(raster: Raster, path: Path, given: Labelling) -> NDArray[Any]:
    """Unit vectors; see :func:`vtadapt.data.readers.files.arrays.read_vectors`."""
    return unit_vectors(read_vectors(path, raster), given.how.flip)


def _boundary(raster: Raster, path: Path, given: Labelling) -> NDArray[Any]:
    marks = _marks(raster, path, given)
    if given.how.threshold is not None:
        need_in_reach(marks, given.said)
        with np.errstate(over="ignore"):  # above what the type can hold nothing is
            return np.where(marks.known, _flat(marks.values, path) > given.how.threshold, VOID).astype(np.uint8)
    return strengths(marks, given.scales, given.how.scale, given.where)


def _marks(raster: Raster, path: Path, given: Labelling) -> Marks:
    need_exact(raster, path, "boundaries")
    raw, full = _numbers_of_marks(raster, path, given)
    return Marks(path, raw, full, known_pixels(raw, path, given))


def _numbers_of_marks(raster: Raster, path: Path, given: Labelling) -> tuple[NDArray[Any], int | None]:
    """(H, W) numbers of a boundary file, and the largest that its type holds."""
    drawn = _black_and_white(raster) if given.how.read is None and not given.how.missing else None
    if drawn is None:
        return _numbers(raster, path, given), raster.full
    if given.how.threshold is not None:  # which is a number of the grey that is seen: 127 between black and white
        return drawn.astype(np.uint8) * np.uint8(255), 255
    return drawn, 1


def _black_and_white(raster: Raster) -> NDArray[np.bool_] | None:
    """Where a palette of black and white is white, if that is where its index is not 0: both readings agree."""
    if raster.palette is None:
        return None
    used = np.unique(raster.array)
    colours = raster.palette[used] if used.size and used[-1] < len(raster.palette) else None
    if colours is None or not ((colours == 0).all(axis=1) | (colours == 255).all(axis=1)).all():
        return None
    return raster.array != 0 if np.array_equal(colours[:, 0] == 255, used != 0) else None


READ: dict[str, Callable[[Raster, Path, Labelling], NDArray[Any]]] = {
    "ids": _classes,
    "numbers": _regression,
    "vectors": _vectors,
    "strengths": _boundary,
}
"""What a kind says of its files (``Kind.file_form``) -> how they are read."""
