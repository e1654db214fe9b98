"""What every format is: it reads the annotations of a file."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from vtadapt.data.readers.annotations.shapes import Annotated, Overlap


class Format(ABC):
    """Knows the files of one tool.

    Attributes:
        many: one file holds the annotations of many pictures.
        overlap: which of two overlapping shapes a pixel belongs to, unless the recipe says otherwise.
        upright: whether the tool shows pictures turned as their EXIF says; None where that is not known.
        numbered: classes have numbers, which ``ids`` of the recipe may name.
    """

    many: ClassVar[bool] = False
    overlap: ClassVar[Overlap] = "later"
    upright: ClassVar[bool | None] = True
    numbered: ClassVar[bool] = False

    @abstractmethod
    def read(self, path: Path) -> Sequence[Annotated]:
        """The annotations in a file, by picture; exactly one of a format whose files are of one picture.

        Raises:
            DataError: the file is broken or of another format; the message names the file and the place in it. What is
                wrong in a single annotation may be told only when its shapes are asked for.
        """
