"""Ids of classes: the one that means "no class", how ids are stored, and what a list of classes must be."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vtadapt.errors import DataError, clipped
from vtadapt.tasks.spec import Colour

VOID = 255
"""The id of a pixel without a class: on disk, in targets and in maps of ids. It is never a class."""

LONGEST = 200
"""Characters of a class's name: tables and pictures show it."""

RESERVED = "(void)"
"""The name that stands at that position of a longer list, and which no pixel has."""


def id_type(classes: int) -> np.dtype[Any]:
    """The smallest unsigned type that holds the ids of so many classes, and void beside them."""
    return np.dtype(np.uint8 if classes <= VOID else np.uint16 if classes <= 2**16 else np.uint32)


def type_holding(ids: Iterable[int]) -> np.dtype[Any]:
    """The smallest unsigned type that holds these ids and void."""
    return id_type(max((i for i in ids if i != VOID), default=0) + 1)


def with_reserved(classes: Sequence[str]) -> tuple[str, ...]:
    """``classes`` with the reserved name at position 255 where the list is so long: 254 stays, 255 becomes 256."""
    names = tuple(classes)
    return names if len(names) <= VOID else (*names[:VOID], RESERVED, *names[VOID:])


def check_list(classes: Sequence[str], colours: Sequence[Colour]) -> None:
    """Raise ValueError where names repeat, position 255 is taken or colours do not match."""
    if longest := next((c for c in classes if len(c) > LONGEST), None):
        raise ValueError(f"has a class whose name has {len(longest)} characters; wanted at most {LONGEST}")
    if len(set(classes)) != len(classes):
        twice = sorted(name for name, count in Counter(classes).items() if count > 1)
        raise ValueError(f"names classes twice: {clipped(', '.join(twice), 300)}")
    if len(classes) > VOID and classes[VOID] != RESERVED:
        raise ValueError(
            f"has {len(classes)} classes; at most {VOID} fit beside the void id {VOID}, or more where the one at "
            f"position {VOID} is named {RESERVED!r} and never used: write it there, between your names (and a colour), "
            f"and in 'ids' which number of the files is which class, such as {VOID}: {classes[VOID]}"
        )
    if colours and len(colours) != len(classes):
        raise ValueError(f"has {len(classes)} classes but {len(colours)} colours; give one per class or none")


def check_ids(array: NDArray[Any], count: int, where: str) -> None:
    """Raise DataError unless every id is a class (0..count - 1) or 255."""
    wrong = no_class(array, count)
    if wrong.any():
        bad = [int(i) for i in np.unique(array[wrong])]
        raise DataError(f"{where}: label ids {listed(bad)}, wanted 0..{count - 1} or {VOID} (void)")


def no_class(array: NDArray[Any], count: int) -> NDArray[np.bool_]:
    """Mask of what is neither one of ``count`` classes nor void."""
    wrong = (array >= count) & (array != VOID)
    return np.asarray(wrong | (array < 0) if np.issubdtype(array.dtype, np.signedinteger) else wrong)


def listed(values: Sequence[int]) -> str:
    """The first eight of some ids, for a message."""
    return ", ".join(map(str, values[:8])) + (", ..." if len(values) > 8 else "")


@functools.lru_cache(maxsize=64)
def id_table(ids: tuple[int, ...]) -> NDArray[Any]:
    """(256 or more) table from stored id to new id; what ``ids`` does not name becomes 255."""
    table = np.full(max(VOID + 1, len(ids)), VOID, type_holding(ids))
    table[: len(ids)] = ids
    return table
