"""What a file of annotations says of one picture, whatever its format."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from vtadapt.data.readers.annotations.figures import Figure, Size

Overlap = Literal["later", "smaller", "void"]
"""Which of two overlapping shapes a pixel belongs to: the later one, the smaller one, or none."""


class Shape(NamedTuple):
    """One annotation.

    Attributes:
        label: its name; "" where the format numbers its classes only.
        number: of its class, where the format numbers them.
        figure: what it covers.
        where: file and place of it, for messages.
        layer: those of higher layers lie above; within a layer the overlap rule decides.
        boxed: it is a box only because the annotation has no outline, such as a detection.
    """

    label: str
    number: int | None
    figure: Figure
    where: str
    layer: float = 0
    boxed: bool = False


@dataclass(frozen=True)
class Annotated:
    """The annotations of a picture.

    Attributes:
        names: how the file names the picture, the most reliable first: paths or file names; none where the file is of
            one picture only, which its own name tells.
        size: (height, width) that the file says the picture has; None where it says none.
        shapes: the annotations, in their order, for the picture's (height, width).
        where: file and place, for messages.
        beside: other files that hold a part of it.
    """

    names: tuple[str, ...]
    size: Size | None
    shapes: Callable[[Size], Sequence[Shape]]
    where: str
    beside: tuple[Path, ...] = ()
