"""From the annotations of a picture to its map of class ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vtadapt.data.readers.annotations.figures import Figure, Patch, Size, Strokes
from vtadapt.data.readers.annotations.shapes import Overlap, Shape
from vtadapt.errors import DataError, near_matches, printable
from vtadapt.tasks.class_ids import VOID, id_type

Others = Literal["void", "unlabelled"]


@dataclass(frozen=True)
class Naming:
    """Which class a name, or a number, of the annotations is.

    Attributes:
        classes: of the task, in the order of their ids.
        names: name in the annotations -> class, None for void.
        numbers: number of a class there -> class, None for void. Without it numbers that no name goes with are ids.
        ignore: names of annotations that are left out as if they were not there.
        others: what becomes of names and numbers that are none of these; None: an error.
        where: the recipe's key, for messages.
    """

    classes: tuple[str, ...]
    names: Mapping[str, str | None]
    numbers: Mapping[int, str | None] | None
    ignore: frozenset[str]
    others: Others | None
    where: str

    def id_of(self, shape: Shape) -> int | None:
        """The id that a shape is drawn with, 255 for void; None where it is not drawn.

        Raises:
            DataError: its name or number is none of those that the recipe knows.
        """
        if shape.label in self.ignore:
            return None
        known, chosen = self._chosen(shape)
        if known:
            return VOID if chosen is None else self.classes.index(chosen)
        if self.others is not None:
            return VOID if self.others == "void" else None
        if shape.label:
            hint, key = near_matches(shape.label, self.classes), "names"
            found = f"label {shape.label!r}"
        else:
            hint, key, found = "", "ids", f"class {shape.number}"
        named = printable(shape.label) if shape.label else shape.number
        raise DataError(
            f"{shape.where}: {found} is no class of the task.{hint} Name it in {self.where}.{key} ({{{named}: CLASS}}, "
            f"null for void), or say 'others: unlabelled' or 'others: void'"
        )

    def _chosen(self, shape: Shape) -> tuple[bool, str | None]:
        """Whether the shape's class is known, and which it is."""
        if shape.number is not None and self.numbers is not None and shape.number in self.numbers:
            return True, self.numbers[shape.number]
        if shape.label in self.names:
            return True, self.names[shape.label]
        if shape.label:
            return shape.label in self.classes, shape.label
        by_place = self.numbers is None and shape.number is not None and 0 <= shape.number < len(self.classes)
        return by_place, self.classes[shape.number or 0] if by_place else None


@dataclass(frozen=True)
class Drawing:
    """How the shapes of a picture become a map.

    Attributes:
        naming: which class each is.
        unlabelled: the class of pixels without any shape; None for void.
        overlap: see :data:`Overlap`.
        strokes: of lines and points.
        boxes: whether boxes that stand for objects without an outline are drawn.
    """

    naming: Naming
    unlabelled: str | None
    overlap: Overlap
    strokes: Strokes
    boxes: bool

    def draw(self, shapes: Sequence[Shape], size: Size) -> NDArray[Any]:
        """(H, W) ids of classes, 255 = void, for a picture of ``size`` (height, width).

        Raises:
            DataError: a name that is no class, or an annotation that is no area; it names file and annotation.
        """
        classes = self.naming.classes
        base = VOID if self.unlabelled is None else classes.index(self.unlabelled)
        result = np.full(size, base, id_type(len(classes)))
        drawn = [(shape, id_) for shape in shapes if (id_ := self.naming.id_of(shape)) is not None]
        patches = [(self._figure(shape).patch(size, self.strokes), id_, shape.layer) for shape, id_ in drawn]
        if self.overlap == "smaller":
            patches.sort(key=lambda one: (one[2], -int(one[0].mask.sum())))
        else:
            patches.sort(key=lambda one: one[2])
        taken = np.zeros(size, bool) if self.overlap == "void" else None
        for patch, id_, _ in patches:
            _put(result, patch, id_, taken)
        return result

    def _figure(self, shape: Shape) -> Figure:
        if shape.boxed and not self.boxes:
            raise DataError(
                f"{shape.where}: a box without an outline, wanted a polygon or a mask; 'boxes: true' in "
                f"{self.naming.where} takes the whole box for the object"
            )
        return shape.figure


def _put(result: NDArray[Any], patch: Patch, id_: int, taken: NDArray[np.bool_] | None) -> None:
    """Draw one patch; ``taken``: where a class has been drawn, for the rule by which overlaps are void."""
    mask, top, left = patch
    window = np.s_[top : top + mask.shape[0], left : left + mask.shape[1]]
    there = result[window]
    if taken is not None:
        clash = mask & taken[window] & (there != id_)
        taken[window] |= mask
        there[mask] = id_
        there[clash] = VOID
        return
    there[mask] = id_
