"""Labels out of annotations: which entry is a picture's, on which way round it was drawn, and its map of class ids."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from numpy.typing import NDArray

from vtadapt.data.readers.annotations.draw import Drawing, Naming
from vtadapt.data.readers.annotations.figures import Size, Strokes
from vtadapt.data.readers.annotations.formats.base import Format
from vtadapt.data.readers.annotations.formats.table import FORMATS
from vtadapt.data.readers.annotations.index import Index, entry_of, index_of
from vtadapt.data.readers.base import Reader
from vtadapt.data.readers.folder.labels import Labelling
from vtadapt.data.readers.raw.picture import turned
from vtadapt.errors import DataError

Exif = Literal["turn", "ignore"] | None


def many(given: Labelling) -> bool:
    """Whether one file holds the annotations of many pictures."""
    return given.how.format is not None and FORMATS[given.how.format].many


def drawing(given: Labelling) -> Drawing:
    """How the annotations of a task become a map of its classes."""
    how, form = given.how, format_of(given)
    others: Any = how.others
    naming = Naming(given.spec.classes, how.names, how.ids, frozenset(how.ignore), others, given.where)
    strokes = Strokes(how.line_width, how.point_size)
    return Drawing(naming, how.unlabelled, how.overlap or form.overlap, strokes, how.boxes)


def format_of(given: Labelling) -> Format:
    """The format that the recipe names."""
    assert given.how.format is not None, "asked for annotations only"
    return FORMATS[given.how.format]


@dataclass(frozen=True)
class Picture:
    """A picture as its file has it: its (height, width) as stored, and the orientation (1..8) that its EXIF says."""

    path: Path
    stored: Size
    orientation: int

    @property
    def upright(self) -> Size:
        """(height, width) when it is turned upright."""
        return self.stored[::-1] if self.orientation > 4 else self.stored


def read_annotations(file: Path, given: Labelling, picture: Picture, exif: Exif) -> NDArray[Any]:
    """(H, W) class ids of a picture, 255 = void, lying as the picture does that :meth:`Reader.load` gives.

    Args:
        file: of annotations.
        given: what is said of the task's labels.
        picture: whose label is wanted.
        exif: see ``FolderOptions``.

    Raises:
        DataError: the file or one of its annotations is no use, or is of a picture of another size; the message names
            file and annotation.
    """
    assert given.how.format is not None, "asked for annotations only"
    entry = entry_of(file, given.how.format, picture.path)
    if entry is None:
        raise DataError(f"{file}: says nothing of {picture.path.name}")
    draw, form = drawing(given), format_of(given)
    if exif == "ignore" or picture.orientation == 1:
        _need_size(entry.size, picture.stored, entry.where, picture)
        return draw.draw(entry.shapes(picture.stored), picture.stored)
    as_stored = exif is None and _drawn_as_stored(entry.size, picture)
    if exif is None and not as_stored and not _told_by_size(entry.size, picture) and form.upright is None:
        advice = "write 'exif: turn' or 'exif: ignore' in options"
        Reader.need_clear_orientation(picture.path, picture.orientation, (1, 1), advice)
    size = picture.stored if as_stored else picture.upright
    _need_size(entry.size, size, entry.where, picture)
    ids = draw.draw(entry.shapes(size), size)
    return turned(ids, picture.orientation) if as_stored else ids


def _told_by_size(size: Size | None, picture: Picture) -> bool:
    """Whether a size tells if a label was drawn on the upright picture."""
    return size is not None and picture.orientation > 4 and picture.stored[0] != picture.stored[1]


def _drawn_as_stored(size: Size | None, picture: Picture) -> bool:
    """Whether its size shows that a label was drawn on the picture as it is stored, not turned upright."""
    return _told_by_size(size, picture) and size == picture.stored


def _need_size(size: Size | None, wanted: Size, where: str, picture: Picture) -> None:
    if size is not None and size != wanted:
        found, has = ("x".join(map(str, s)) for s in (size, wanted))
        raise DataError(
            f"{where}: annotations for a picture of {found} pixels, {picture.path} has {has} (height x width)"
        )


def assigned(file: Path, given: Labelling, pictures: Iterable[Path]) -> dict[Path, int]:
    """The entry of each picture that a file of many pictures' annotations has one of; see :meth:`Index.assign`."""
    return _index(file, given).assign(pictures)


def entry_number(file: Path, given: Labelling, picture: Path) -> int | None:
    """The entry of one picture, where it has one."""
    found = _index(file, given).find(picture)
    return None if found is None else found[0]


def beside(file: Path, given: Labelling, entry: int) -> tuple[Path, ...]:
    """Other files that an entry needs."""
    return _index(file, given).entries[entry].beside


def without_picture(file: Path, given: Labelling, used: Iterable[int]) -> list[str]:
    """How the file names the pictures of those entries that are not ``used``."""
    taken = set(used)
    entries = _index(file, given).entries
    return [entry.names[0] for i, entry in enumerate(entries) if i not in taken and entry.names]


def _index(file: Path, given: Labelling) -> Index:
    assert given.how.format is not None, "asked for annotations only"
    return index_of(file, given.how.format)
