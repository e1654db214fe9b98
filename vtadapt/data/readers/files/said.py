"""Whether the number that a user says of boundary files can be meant: one that no file gets near loses all of them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vtadapt.data.readers.files.strengths import SAMPLES, Marks
from vtadapt.errors import DataError


class Said(NamedTuple):
    """What a recipe says of boundary files; one of both.

    ``threshold``: a boundary is where the number is above it. ``scale``: the number of a whole boundary. ``where``: the
    recipe's key of both.
    """

    threshold: float | None
    scale: float | None
    where: str


def need_in_reach(marks: Marks, said: Said) -> None:
    """Raise a DataError where a file has marks, and its type holds no number above the threshold."""
    threshold = said.threshold
    if threshold is None or marks.full is None or threshold < marks.full:
        return
    if (marks.values[marks.known] > 0).any():
        raise DataError(
            f"{marks.path}: boundary values of at most {marks.full}, the largest that the file can hold, and none "
            f"above 'threshold: {threshold:g}' of {said.where}; write a lower one, such as 0"
        )


def need_fit(files: Iterable[Marks], said: Said) -> None:
    """Raise a DataError where the files of one type have marks, and what is said makes nothing, or next to it, of all.

    Those are a threshold that no number is above, and a scale above 1 of files of only 0 and 1.

    Args:
        files: read one after the other until every type of them fits, at least 16.
        said: what the recipe says.
    """
    fits: dict[str, bool] = {}
    highest: dict[str, tuple[float, int, Path]] = {}  # by type: the largest number, in how many files, one of them
    for count, marks in enumerate(files, start=1):
        values = marks.values[marks.known]
        one = "float" if values.dtype.kind == "f" else f"{values.dtype.name} to {marks.full}"
        fits[one] = fits.get(one, False) or _fits(values, said)
        top = float(values.max()) if values.size else 0.0
        known = highest.get(one, (0.0, 0, marks.path))
        highest[one] = (max(top, known[0]), known[1] + 1, marks.path if top > known[0] else known[2])
        if count >= SAMPLES and all(fits.values()):
            break
    for one, (top, count, path) in highest.items():
        if fits[one] or top <= 0:
            continue
        among = f"in {count} files " if count > 1 else ""
        if said.threshold is not None:
            raise DataError(
                f"{path}: {among}boundary values up to {top:g}, and none above 'threshold: {said.threshold:g}' of "
                f"{said.where}; write one below {top:g}"
            )
        raise DataError(
            f"{path}: {among}boundary values 0 and 1 only, though 'scale: {said.scale:g}' of {said.where} says that 1 "
            "is next to no edge; remove it, or write 'scale: 1'"
        )


def _fits(values: np.ndarray, said: Said) -> bool:
    """Whether a file alone shows that what is said can be meant."""
    if said.threshold is not None:
        with np.errstate(over="ignore"):  # above what the type can hold nothing is
            return bool((values > said.threshold).any())
    if values.dtype == bool or said.scale is None or said.scale <= 1:
        return True
    return bool(((values != 0) & (values != 1)).any())
