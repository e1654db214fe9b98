"""Lists of classes that one kind of label files can be read as, such as the 13, 40 or 894 classes of NYUv2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from vtadapt.data.recipe.strict import NumberKeys, Strict
from vtadapt.errors import DataError, UsageError, near_matches
from vtadapt.tasks.class_ids import RESERVED, VOID, check_list, type_holding, with_reserved

Colour = tuple[
    Annotated[int, Field(ge=0, le=255)], Annotated[int, Field(ge=0, le=255)], Annotated[int, Field(ge=0, le=255)]
]
TABLE = 1 << 22  # numbers that a look-up table may span
LARGEST = 2.0**53  # up to here floats hold every whole number


class LabelSet(Strict):
    """A list of classes and how the numbers of the files become its ids 0, 1, 2, ...

    Attributes:
        task: the task whose classes these are.
        classes: names, in the order of their ids. A list of more than 255 gets a reserved name at position 255.
        colours: one per class, or none.
        ids: number in the files -> name of its class. Several numbers may become one class.
        void: other numbers of the files, which are no class.
        highest: numbers from 0 to this one are void where ``ids`` does not name them; any beyond it are an error.
    """

    task: str = "semseg"
    classes: tuple[str, ...] = Field(min_length=1)
    colours: tuple[Colour, ...] = ()
    ids: Annotated[dict[int, str], NumberKeys] = Field(default_factory=dict)
    void: tuple[int, ...] = ()
    highest: int | None = Field(None, ge=-1, le=TABLE)

    @model_validator(mode="before")
    @classmethod
    def _reserve(cls, given: Any) -> Any:
        if isinstance(given, dict) and isinstance(given.get("classes"), list | tuple):
            names = list(given["classes"])
            if len(names) > VOID and RESERVED not in names:
                return {**given, "classes": with_reserved(names)}
        return given

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        check_list(self.classes, self.colours)
        known = set(self.classes)
        if lost := [name for name in self.ids.values() if name not in known]:
            hint = near_matches(lost[0], self.classes)
            raise ValueError(f"'ids' names {lost[0]!r}, which is none of its classes.{hint}")
        return self

    def convert(self, raw: NDArray[Any], where: str) -> NDArray[Any]:
        """Numbers of a file as class ids.

        Args:
            raw: (H, W) whole numbers.
            where: the file, for the message.

        Returns:
            (H, W) of the smallest unsigned type that holds the ids; 255 = void.

        Raises:
            DataError: numbers that are neither a class nor void.
        """
        return map_ids(raw, {**dict.fromkeys(self._void(), VOID), **self._ids()}, where)

    def _ids(self) -> dict[int, int]:
        place = {name: i for i, name in enumerate(self.classes)}
        return {number: place[name] for number, name in self.ids.items()}

    def _void(self) -> list[int]:
        return [*range(0 if self.highest is None else self.highest + 1), *self.void]


def map_ids(raw: NDArray[Any], ids: Mapping[int, int], where: str, advice: str = "") -> NDArray[Any]:
    """Replace the numbers of ``raw`` by ``ids``; DataError with ``where`` and the numbers that it does not name.

    Args:
        raw: whole numbers of any shape.
        ids: what each becomes.
        where: the file, for the message.
        advice: what can be done about other numbers, for the end of the message.
    """
    if raw.dtype == bool:
        raw = raw.astype(np.uint8)
    whole = raw.dtype.kind in "iu" or np.array_equal(raw, np.rint(raw))
    if not whole:
        odd = raw[raw != np.rint(raw)].ravel()[0]
        raise DataError(f"{where}: label ids that are no whole numbers ({odd:g})")
    if raw.dtype.kind == "f":
        if raw.size and (highest := float(np.abs(raw).max())) > LARGEST:  # in float16 it would overflow
            raise DataError(f"{where}: label ids up to {highest:g}, wanted {min(ids)}..{max(ids)}")
        raw = raw.astype(np.int64)
    low, high = min(ids), max(ids)
    near = high - low < TABLE and low >= -(2**63) and high < 2**63
    result = _looked_up(raw, ids) if near else _searched(raw, ids)
    if (result < 0).any():
        bad = [int(i) for i in np.unique(raw[result < 0])]
        known = sorted(ids)
        wanted = f"{low}..{high}" if len(known) == high - low + 1 else f"{known[:40]}"
        raise DataError(
            f"{where}: label ids {', '.join(map(str, bad[:8]))}{', ...' * (len(bad) > 8)}, wanted {wanted}{advice}"
        )
    return result.astype(type_holding(ids.values()))


def _looked_up(raw: NDArray[Any], ids: Mapping[int, int]) -> NDArray[np.int32]:
    """The id of each number, -1 where it has none, by a table: sorting the pixels of a large map takes far longer."""
    low, high = min(ids), max(ids)
    table = np.full(high - low + 1, -1, np.int32)
    for number, to in ids.items():
        table[number - low] = to
    inside = (raw >= low) & (raw <= high)
    place = np.where(inside, raw.astype(np.int64) - low, 0)  # what int64 cannot hold is not inside
    return np.where(inside, table[place], np.int32(-1))


def _searched(raw: NDArray[Any], ids: Mapping[int, int]) -> NDArray[np.int32]:
    """As :func:`_looked_up`, for numbers that lie too far apart for a table."""
    numbers, place = np.unique(raw, return_inverse=True)
    found = np.array([ids.get(int(number), -1) for number in numbers], np.int32)
    return found[place].reshape(raw.shape)


def choose(asked: str, known: Mapping[str, LabelSet], name: str) -> str:
    """The key of ``known`` that a user means: as written, or the one that ends with the number asked for (``13``).

    Raises:
        UsageError: none, or several, of data set ``name`` fit.
    """
    fits = [key for key in known if key == asked] or [
        key for key in known if asked.isdigit() and key.rstrip("0123456789") + asked == key
    ]
    if len(fits) == 1:
        return fits[0]
    if not known:
        raise UsageError(f"data set {name!r} has no label sets to choose from; leave --label-set out")
    hint = f"{near_matches(asked, known)} Known: {', '.join(known)}"
    raise UsageError(f"data set {name!r} has no label set {asked!r}.{hint}")
