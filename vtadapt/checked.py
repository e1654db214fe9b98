"""Text files that hold a checksum of themselves, so that no changed byte is read for what was written.

The checksum is a CRC-32 (it finds every burst of damage up to four bytes, and all but one in four billion others) of
the other bytes as they are, blanks included. It stands in the file, since two files are not replaced in one step: in
JSON as the first entry, in a line of JSON as the last one, in YAML in comments. A file without one, as written before
there were any or by a person, is taken as it is; one in which the checksum itself is damaged is not.
"""

from __future__ import annotations

import difflib
import json
import re
import zlib
from collections.abc import Callable, Mapping
from typing import Any

KEY, LINE_KEY = "checksum", "crc32"
_HEAD = re.compile(rb'\{\n "checksum": "([0-9a-f]{8})",?')
_END_OF_LINE = re.compile(rb'(?:, )?"crc32": "([0-9a-f]{8})"\}')
_FIRST = "# written by vtadapt; the last line is a checksum of the others: change a copy, or remove both lines"
_LAST = re.compile(rb"# crc32: ([0-9a-f]{8})\n\Z")
_ALIKE = 0.7  # a key of five letters one of which is wrong


class DamagedError(ValueError):
    """Bytes are not as they were written."""


Loads = Callable[[str], Any]


def _loads(text: str) -> Any:
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _sum(data: bytes, start: int = 0) -> str:
    return f"{zlib.crc32(data, start):08x}"


def _damaged(remedy: str) -> DamagedError:
    return DamagedError(f"damaged, its checksum is another; if it was changed on purpose, {remedy}")


def _like(keys: Any, wanted: str) -> bool:
    """Whether one of the keys is, or once was, that of a checksum."""
    close = (difflib.SequenceMatcher(None, str(key), wanted).ratio() for key in keys if len(str(key)) < 2 * len(wanted))
    return any(ratio >= _ALIKE for ratio in close)


def json_text(content: Mapping[str, Any]) -> str:
    """A JSON object (keys in their order, no NaN) with its checksum."""
    return with_checksum(json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def with_checksum(text: str) -> str:
    """A JSON object, written by ``json.dumps`` with an indent of 1, with its checksum."""
    # Names of files that are no UTF-8 come as surrogates; their escapes are JSON's, too.
    rest = text.encode("utf-8", "backslashreplace")[1:]
    return f'{{\n "{KEY}": "{_sum(rest)}"{"," if rest.strip() != b"}" else ""}{rest.decode("utf-8")}'


def parse_json(data: bytes, loads: Loads = _loads) -> Any:
    """The content of a JSON file, less its checksum.

    Args:
        data: of the file.
        loads: what reads JSON.

    Raises:
        DamagedError: a byte of it has changed since :func:`json_text`.
        ValueError: it is no JSON of UTF-8, or nested too deeply.
    """
    found = _HEAD.match(data)
    if found and _sum(data[found.end() :]) != found[1].decode():
        raise _damaged(f"remove its entry {KEY!r}")
    content = loads(data.decode("utf-8"))
    if not isinstance(content, dict):
        return content
    if not found and _like(content, KEY):
        raise _damaged(f"remove its entry {KEY!r}")
    content.pop(KEY, None)
    return content


def line_of(record: Mapping[str, Any], start: int = 0) -> str:
    """A JSON object in one line, with its checksum and without the end of the line.

    ``start``: the CRC-32 of what else the checksum is of.
    """
    text = json.dumps(record, ensure_ascii=False)
    found = _sum(text.encode("utf-8", "backslashreplace"), start)
    return f'{text[:-1]}{", " if record else ""}"{LINE_KEY}": "{found}"}}'


def parse_line(line: bytes, start: int = 0, loads: Loads = _loads) -> Any:
    """The content of such a line, less its checksum; arguments and errors as :func:`line_of` and :func:`parse_json`."""
    # The last one: a text may hold what looks like it.
    found = next(reversed([*_END_OF_LINE.finditer(line)]), None)
    if found and (found.end() != len(line) or _sum(line[: found.start()] + b"}", start) != found[1].decode()):
        raise DamagedError("damaged, its checksum is another")
    content = loads(line.decode("utf-8"))
    if not isinstance(content, dict):
        return content
    if not found and _like(content, LINE_KEY):
        raise DamagedError("damaged, its checksum is another")
    content.pop(LINE_KEY, None)
    return content


def yaml_text(text: str) -> str:
    """YAML with its checksum; the first line says that there is one at the end, which may have been cut off."""
    whole = f"{_FIRST}\n{text}"
    return f"{whole}# {LINE_KEY}: {_sum(whole.encode('utf-8', 'backslashreplace'))}\n"


def check_yaml(data: bytes) -> None:
    """See that YAML which has a checksum is as it was written.

    Raises:
        DamagedError: it is not.
    """
    found = _LAST.search(data)
    whole = found is not None and _sum(data[: found.start()]) == found[1].decode()
    if not whole and (found or data.startswith(_FIRST.encode())):
        raise _damaged("remove its first and last line, the comments")
