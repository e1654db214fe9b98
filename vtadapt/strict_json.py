"""JSON from files: as ``json.loads`` reads it, but size, nesting and numbers are bounded, and every error is one kind.

Python's own reader raises RecursionError for brackets, UnicodeDecodeError for other encodings, and gives numbers that
cannot be written out again; what reads it then fails far away.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from vtadapt import checked
from vtadapt.errors import clipped

MAX_BYTES = 2**31  # annotations of a million pictures have 1 GiB
MAX_DEPTH = 40
MAX_DIGITS = 400  # of a whole number: more than the largest float has


class StrictJsonError(ValueError):
    """What was found, in one line."""


def read_json(path: Path) -> Any:
    """The content of a JSON file of UTF-8, with or without a byte order mark.

    Raises:
        StrictJsonError: see :func:`parse_json`; or another encoding.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    try:
        return parse_json(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise StrictJsonError(f"bytes that are not UTF-8, the first at {error.start}") from error


def read_checked(path: Path) -> Any:
    """The content of a JSON file of ours, less its checksum; see :mod:`vtadapt.checked`.

    Raises:
        StrictJsonError: see :func:`parse_json`.
        DamagedError: a byte is not as it was written.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    try:
        return checked.parse_json(data, parse_json)
    except UnicodeDecodeError as error:
        raise StrictJsonError(f"bytes that are not UTF-8, the first at {error.start}") from error


def parse_checked_line(line: bytes, start: int = 0) -> Any:
    """The content of a line of ours, less its checksum; see :func:`vtadapt.checked.parse_line`, errors as above."""
    try:
        return checked.parse_line(line, start, parse_json)
    except UnicodeDecodeError as error:
        raise StrictJsonError(f"bytes that are not UTF-8, the first at {error.start}") from error


def parse_json(text: str) -> Any:
    """The content of one JSON document.

    Raises:
        StrictJsonError: not JSON, nested deeper than 40, over 2 GiB, or a whole number of more than 400 digits.
    """
    if len(text) > MAX_BYTES:
        raise StrictJsonError(f"more than {MAX_BYTES // 2**20} MiB")
    try:
        content = json.loads(text, parse_int=_whole)
    except RecursionError as error:
        raise StrictJsonError(f"nested deeper than {MAX_DEPTH}") from error
    except ValueError as error:
        if isinstance(error, StrictJsonError):
            raise
        raise StrictJsonError(clipped(" ".join(str(error).split()), 200)) from error
    if _deeper(content, MAX_DEPTH):
        raise StrictJsonError(f"nested deeper than {MAX_DEPTH}")
    return content


def _whole(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise StrictJsonError(f"a number of {len(digits)} digits")
    return int(digits)


def _deeper(content: Any, levels: int) -> bool:
    """Whether lists and objects lie in one another more than ``levels`` deep; level by level, which cannot fail."""
    layer = [content] if isinstance(content, list | dict) else []
    for _ in range(levels):
        inner: list[Any] = []
        for node in layer:
            inner += [v for v in (node.values() if isinstance(node, dict) else node) if isinstance(v, list | dict)]
        layer = inner
        if not layer:
            return False
    return bool(layer)
