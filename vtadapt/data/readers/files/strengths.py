"""Boundaries as strengths 0..1: which number of the files is a whole edge is decided over the set, or said by the user.

A file's type alone never decides: 8 bits may hold 0 and 1, or 0 to 255; and neither does one file, since the edges of
a soft map may be so weak that its largest number is 1. What the numbers of a set leave open is refused, with both
readings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from vtadapt.data.readers.raw.door import read_raster
from vtadapt.data.readers.raw.raster import need_exact, need_upright, numbers
from vtadapt.errors import DataError

T = TypeVar("T")

SAMPLES = 16  # files that are looked at before a scale counts as decided
ROUNDED = 1e-6  # how far a float may lie above 1 by rounding


class Marks(NamedTuple):
    """The numbers of one boundary file.

    ``full``: the largest that its type holds, as ``Raster`` says. ``known``: (H, W) mask of what is not missing.
    """

    path: Path
    values: NDArray[Any]
    full: int | None
    known: NDArray[np.bool_]


def spread(items: Sequence[T]) -> list[T]:
    """All items, those first that lie evenly over the whole list."""
    first = dict.fromkeys(np.linspace(0, len(items) - 1, min(SAMPLES, len(items))).astype(int).tolist())
    return [items[i] for i in first] + [item for i, item in enumerate(items) if i not in first]


def read_marks(path: Path) -> Marks:
    """The numbers of a boundary file that says nothing of missing ones; DataError where they are not stored exactly."""
    raster = read_raster(path)
    need_exact(raster, path, "boundaries")
    need_upright(raster, path)
    values = numbers(raster, path)
    return Marks(path, values, raster.full, np.ones(values.shape, bool))


def readable(items: Sequence[T], read: Callable[[T], Marks]) -> Iterator[Marks]:
    """What ``read`` reads of each item, as :func:`spread`; broken files are left to be named when they load."""
    for item in spread(items):
        try:
            marks = read(item)
        except DataError:
            continue
        yield marks


def decide_over(items: Sequence[T], read: Callable[[T], Marks], where: str = "") -> dict[str, float]:
    """As :func:`decide`, for samples whose files ``read`` reads, but for broken ones."""
    return decide(readable(items, read), where)


def decide(files: Iterable[Marks], where: str = "") -> dict[str, float]:
    """The number that is a whole edge, for each type of file of a set; nothing for 1 bit and for floats.

    1 where no file has a larger number; 255, 65535 or the largest of the type where some file reaches it.

    Args:
        files: read one after the other until all is decided, at least 16 of them.
        where: the recipe's key of the options that say it instead; "" where there are none.

    Raises:
        DataError: the numbers have two readings; it names both.
    """
    seen: dict[str, _Seen] = {}
    for count, marks in enumerate(files, start=1):
        if (key := _type(marks)) is not None:
            limit = int(np.iinfo(marks.values.dtype).max) if marks.full is None else marks.full
            seen.setdefault(key, _Seen(marks.full, limit)).add(marks)
        if count >= SAMPLES and all(one.scale is not None for one in seen.values()):
            break
    for one in seen.values():
        if one.scale is None and one.top > 0:
            raise one.problem(where)
    return {key: one.scale or 1.0 for key, one in seen.items()}


def strengths(
    marks: Marks, decided: Mapping[str, float], scale: float | None = None, where: str = ""
) -> NDArray[np.float32]:
    """The strengths of one file, (H, W) float32 0..1; NaN where it is missing or not finite.

    Args:
        marks: its numbers.
        decided: of the set it belongs to, see :func:`decide`; a type that is not in it is judged by this file.
        scale: the number that is a whole edge, where the user said it. A file of 1 bit holds 0 and 1 whatever it is.
        where: as of :func:`decide`.

    Raises:
        DataError: numbers below 0 or above a whole edge, or that fit another scale than the rest of the set.
    """
    values, known = marks.values, marks.known
    if values.ndim != 2:
        raise DataError(f"{marks.path}: holds an array of shape {values.shape}, wanted (H, W) or (H, W, 1)")
    if values.dtype == bool:
        return np.where(known, values, np.float32(np.nan)).astype(np.float32)
    if values.dtype.kind == "f":
        known = known & np.isfinite(values)
    # In the file's own type a scale beyond it would be infinite: 65535 in float16.
    low, top = (float(values[known].min()), float(values[known].max())) if known.any() else (0.0, 0.0)
    if low < 0:
        advice = f", or name it as missing ('missing: [{low:g}]' in {where})" if where else ""
        raise DataError(f"{marks.path}: boundary values from {low:g} to {top:g}, wanted 0 and more{advice}")
    if scale is None:
        scale = _scale(marks, decided, top, where)
    if top > scale * (1 + ROUNDED):
        raise DataError(f"{marks.path}: boundary values up to {top:g}, though {scale:g} is a whole edge{_say(where)}")
    result = np.divide(values, np.float64(scale), out=np.full(values.shape, np.nan), where=known)
    return np.minimum(result, 1).astype(np.float32)


def _scale(marks: Marks, decided: Mapping[str, float], top: float, where: str) -> float:
    """The scale of a file without a word of the user."""
    key = _type(marks)
    if key is None:  # floats
        if top > 1 + ROUNDED:
            raise DataError(f"{marks.path}: boundary values up to {top:g}, wanted 0..1{_say(where)}")
        return 1.0
    if key not in decided:
        return decide([marks], where).get(key, 1.0)
    scale, values = decided[key], marks.values[marks.known]
    if scale > 1 and (values == 1).any() and not ((values > 1) & (values < scale)).any():
        held = "0 and 1" if top <= 1 else f"0, 1 and {top:g}"
        raise DataError(
            f"{marks.path}: holds only {held}, while other files go up to {scale:g}: is 1 an edge here?{_say(where)}"
        )
    return scale


def _say(where: str) -> str:
    return f"; write 'scale' or 'threshold' in {where}" if where else ""


def _type(marks: Marks) -> str | None:
    """What stores the numbers: the name of the type, with the largest number where it is not the type's own."""
    if marks.values.dtype.kind not in "iu":
        return None
    name = marks.values.dtype.name
    return name if marks.full in (None, 255, 65535) else f"{name} to {marks.full}"


@dataclass
class _Seen:
    """The numbers of all files of one type."""

    full: int | None
    limit: int  # what the type can hold
    files: int = 0
    top: int = 0
    path: Path = field(default_factory=Path)
    one: bool = False  # some pixel is 1
    numbers: set[int] = field(default_factory=set)  # those above 1, as long as they are few

    def add(self, marks: Marks) -> None:
        found = np.unique(marks.values[marks.known & (marks.values > 0)])
        self.files += 1
        if found.size and int(found[-1]) > self.top:
            self.top, self.path = int(found[-1]), marks.path
        self.one |= 1 in found
        if len(self.numbers) < 3:
            self.numbers |= {int(number) for number in found[-3:] if number > 1}

    @property
    def scale(self) -> float | None:
        """The whole edge; None where the numbers do not tell it."""
        if self.top == 1:
            return 1.0
        reaches = self.top in (255, 65535, self.full)
        return float(self.top) if reaches and not self._only_two else None

    @property
    def _only_two(self) -> bool:
        """Whether 1 and one larger number are all there is: the larger may be a code for "unknown"."""
        return self.one and self.numbers == {self.top}

    def problem(self, where: str) -> DataError:
        top = self.top
        name = f"{self.path}: " + (f"in {self.files} files " if self.files > 1 else "")
        if self._only_two and top in (255, 65535, self.full):
            text = (
                f"{name}boundary values 0, 1 and {top} only: is 1 an edge and {top} missing, or is {top} a whole edge?"
            )
            said = f"'missing: [{top}]' or 'scale: {top}'"
        else:
            # Only what the type can hold may be a whole edge: 255 may not in int8.
            wholes = (255, 65535, 2**32 - 1, self.limit) if self.full is None else (self.full, 255, 65535)
            other = next((whole for whole in wholes if top < whole <= self.limit), None)
            text = f"{name}boundary values up to {top}: is that a whole edge" + (f", or is {other}?" if other else "?")
            said = " or ".join([f"'scale: {top}'", *([f"'scale: {other}'"] if other else []), "'threshold'"])
        return DataError(f"{text} {f'Write {said} in {where}' if where else 'Wanted 0 and 1, or 0 to 255'}")
