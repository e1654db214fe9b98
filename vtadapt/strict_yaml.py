"""YAML from people: as ``yaml.safe_load`` reads it, but a key given twice is an error, and no input takes long.

Nesting, size and the nodes that aliases stand for are bounded before anything is built: a hundred thousand brackets
would end the process (its stack), and a few hundred bytes of aliases of aliases stand for more nodes than memory holds.
"""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

MAX_BYTES = 4 * 2**20
MAX_DEPTH = 40
MAX_NODES = 400_000  # aliases counted as what they stand for: enough for 70 000 classes with ids and colours

# libyaml takes a tenth of the time; PyYAML may have been built without it.
_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class StrictYamlError(ValueError):
    """What was found and where, in one line."""


class _Loader(_Base):  # type: ignore[misc]
    """A safe loader that refuses a key given twice, with quotes and without as well."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Build a mapping, see :class:`yaml.SafeLoader`."""
        lines: dict[Hashable, int] = {}
        written: dict[str, Hashable] = {}  # 1 and "1" are one key to whoever reads numbers
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":  # "<<" may stand several times, and gives way to own keys
                continue
            key = self.construct_object(key_node, deep=True)
            line = key_node.start_mark.line + 1
            if not isinstance(key, Hashable):
                raise StrictYamlError(f"line {line}: a list or a mapping is no key")
            if key in lines:
                raise StrictYamlError(f"key {key!r} stands twice, in lines {lines[key]} and {line}; keep one of them")
            if isinstance(key_node, yaml.ScalarNode):
                twin = written.setdefault(key_node.value, key)
                if twin != key:
                    both = f"keys {twin!r} and {key!r} differ only in quotes"
                    raise StrictYamlError(f"{both}, in lines {lines[twin]} and {line}; keep one of them")
            lines[key] = line
        return dict(super().construct_mapping(node, deep=deep))


def read_yaml(path: Path) -> Any:
    """Read a YAML file of UTF-8, with or without a byte order mark.

    Raises:
        StrictYamlError: see :func:`parse_yaml`; or another encoding.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise StrictYamlError("found UTF-16, wanted UTF-8; save it as UTF-8")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if len(data) > MAX_BYTES:
            raise StrictYamlError(_too_long()) from error
        line = data[: error.start].count(b"\n") + 1
        raise StrictYamlError(f"line {line}: found bytes that are not UTF-8; save it as UTF-8") from error
    return parse_yaml(text)


def parse_yaml(text: str) -> Any:
    """The content of one YAML document.

    Raises:
        StrictYamlError: not YAML, a key given twice, several documents, nested deeper than 40, over 4 MiB, or aliases
            that stand for more than 400 000 values.
    """
    if len(text) > MAX_BYTES:
        raise StrictYamlError(_too_long())
    try:
        _check_bounds(text)
        return yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = "" if mark is None else f"line {mark.line + 1}: "
        raise StrictYamlError(f"{where}{error.problem or error.context or 'not YAML'}") from error
    except (yaml.YAMLError, ValueError, OverflowError) as error:  # a date such as 2024-13-45, a character that is none
        if isinstance(error, StrictYamlError):
            raise
        raise StrictYamlError(" ".join(str(error).split())) from error


def _too_long() -> str:
    return f"more than {MAX_BYTES // 2**20} MiB; wanted a file written by hand"


def _check_bounds(text: str) -> None:
    """Go through the document's events, which are read one by one, and count what building it would take."""
    open_nodes: list[tuple[str | None, int]] = []  # anchor and number of nodes before, of what is not closed yet
    stands_for: dict[str, int] = {}
    count = 0
    for event in yaml.parse(text, Loader=_Base):
        if isinstance(event, yaml.CollectionStartEvent):
            open_nodes.append((event.anchor, count))
            count += 1
            if len(open_nodes) > MAX_DEPTH:
                raise StrictYamlError(f"line {event.start_mark.line + 1}: nested deeper than {MAX_DEPTH}")
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = open_nodes.pop()
            if anchor is not None:
                stands_for[anchor] = count - before
        elif isinstance(event, yaml.AliasEvent):
            if any(anchor == event.anchor for anchor, _ in open_nodes):
                raise StrictYamlError(f"line {event.start_mark.line + 1}: *{event.anchor} stands inside itself")
            count += stands_for.get(event.anchor, 1)
        elif isinstance(event, yaml.ScalarEvent):
            count += 1
            if event.anchor is not None:
                stands_for[event.anchor] = 1
        if count > MAX_NODES:
            raise StrictYamlError(
                f"line {event.start_mark.line + 1}: more than {MAX_NODES:,} values, aliases counted out"
            )
