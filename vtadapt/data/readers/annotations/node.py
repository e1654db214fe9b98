"""One value of a file of annotations, and where in it that stands: each problem is one line with file and place."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vtadapt import strict_json
from vtadapt.data.readers.raw.picture import read_bytes
from vtadapt.errors import DataError, printable

Points = NDArray[np.float64]
_KINDS = {dict: "an object", list: "a list", str: "a text", bool: "true or false", int: "a number", float: "a number"}


@dataclass(frozen=True)
class Node:
    """A value parsed from JSON or from attributes of XML.

    Attributes:
        value: as it was parsed.
        path: the file.
        place: where in the file, such as ``shapes[3].points``; "" for the whole.
    """

    value: Any
    path: Path
    place: str = ""

    def __contains__(self, key: str) -> bool:
        return isinstance(self.value, dict) and self.value.get(key) is not None

    def wrong(self, problem: str) -> DataError:
        """The error that names file and place."""
        where = f"{self.path}: {self.place}" if self.place else str(self.path)
        return DataError(printable(f"{where}: {problem}"))

    def unlike(self, wanted: str) -> DataError:
        """The error for a value of another kind than the one that is ``wanted``."""
        found = self.value
        text = _KINDS.get(type(found), "nothing")
        if isinstance(found, int | float | str):
            shown = repr(found)
            text = shown if len(shown) <= 40 else f"{shown[:36]}..."
        return self.wrong(f"found {text}, wanted {wanted}")

    def at(self, key: str) -> Node:
        """The value of a key, None where it has none."""
        if not isinstance(self.value, dict):
            raise self.unlike("an object")
        return Node(self.value.get(key), self.path, f"{self.place}.{key}" if self.place else key)

    def need(self, key: str) -> Node:
        """The value of a key, which must be there."""
        found = self.at(key)
        if found.value is None:
            raise self.wrong(f"no {key!r}")
        return found

    def items(self) -> Iterator[Node]:
        """The entries of a list, each with its number."""
        if not isinstance(self.value, list):
            raise self.unlike("a list")
        for i, value in enumerate(self.value):
            yield Node(value, self.path, f"{self.place}[{i}]")

    def text(self) -> str:
        """A text that is not empty."""
        if not isinstance(self.value, str) or not self.value.strip():
            raise self.unlike("a text")
        return self.value

    def number(self) -> float:
        """A finite number; of XML, whose values are all texts, one that is written as such."""
        value = self.value
        if isinstance(value, str):
            try:
                value = float(value)
            except ValueError as error:
                raise self.unlike("a number") from error
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.unlike("a number")
        try:
            result = float(value)
        except OverflowError as error:
            raise self.unlike("a number") from error
        if not math.isfinite(result):
            raise self.unlike("a finite number")
        return result

    def whole(self, least: int | None = None) -> int:
        """A whole number, at least ``least``."""
        wanted = "a whole number" if least is None else f"a whole number of at least {least}"
        result = self.number()
        if result != int(result) or (least is not None and result < least):
            raise self.unlike(wanted)
        return int(result)

    def points(self, least: int) -> Points:
        """(n, 2) numbers x, y; ``least``: so many of them are needed."""
        if not isinstance(self.value, list):
            raise self.unlike("a list of points [x, y]")
        pairs: list[tuple[float, float]] = []
        for point in self.items():
            parts = list(point.items())
            if len(parts) != 2:
                raise point.unlike("a point [x, y]")
            pairs.append((parts[0].number(), parts[1].number()))
        if len(pairs) < least:
            raise self.wrong(f"{len(pairs)} point{'s' * (len(pairs) != 1)}, wanted at least {least}")
        return np.array(pairs, np.float64).reshape(-1, 2)


def read_json(path: Path) -> Node:
    """The content of a JSON file.

    Raises:
        DataError: no such file, not UTF-8, no JSON, or nested too deep.
    """
    return parse_json(read_bytes(path), path)


def parse_json(data: bytes, path: Path) -> Node:
    """As :func:`read_json`, for the content of ``path``."""
    if not data.strip():
        raise DataError(f"{path}: an empty file, wanted JSON")
    try:
        return Node(strict_json.parse_json(data.decode("utf-8-sig")), path)
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: bytes that are not UTF-8, wanted JSON") from error
    except ValueError as error:
        raise DataError(f"{path}: no JSON ({' '.join(str(error).split())[:120]})") from error
