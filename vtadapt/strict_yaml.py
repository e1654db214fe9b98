"""YAML from people: as ``yaml.safe_load`` reads it, but a key given twice is an error, and no input takes long.

Nesting, size and the nodes that aliases stand for are bounded before anything is built: a hundred thousand brackets
would end the process (its stack), and a few hundred bytes of aliases of aliases stand for more nodes than memory holds.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from vtadapt.errors import clipped, quoted

MAX_BYTES = 4 * 2**20
MAX_DEPTH = 40
MAX_NODES = 250_000  # aliases counted as what they stand for: 70 000 classes with their ids; read in 2 s
MAX_KEY = 400  # characters of a key
MAX_DIGITS = 1000  # characters of a number: 1:1:1:... takes time by the square of its length, and longer ones no print

_NO_TEXT = re.compile("[\0\ud800-\udfff]")  # no name of a file can hold the first, no file of text the others

# libyaml takes a tenth of the time; PyYAML may have been built without it.
_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class StrictYamlError(ValueError):
    """What was found and where, in one line."""


class _Loader(_Base):  # type: ignore[misc]
    """A safe loader that refuses a key given twice, with quotes and without as well."""

    def construct_number(self, node: yaml.ScalarNode) -> Any:
        """Build a number, of decent length."""
        if len(node.value) > MAX_DIGITS:
            raise StrictYamlError(f"line {node.start_mark.line + 1}: a number of {len(node.value)} characters")
        made = self.construct_yaml_int if node.tag.endswith(":int") else self.construct_yaml_float
        return made(node)

    def construct_date(self, node: yaml.ScalarNode) -> str:
        """A date is text, as it is everywhere else."""
        self.construct_yaml_timestamp(node)  # raises ValueError where it is none
        return str(node.value)

    def construct_other(self, node: yaml.Node) -> Any:
        """Refuse what is no plain value: bytes, sets, objects."""
        raise StrictYamlError(f"line {node.start_mark.line + 1}: {_short(node.tag)} is not read; wanted plain values")

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Build a mapping, see :class:`yaml.SafeLoader`."""
        lines: dict[Hashable, int] = {}
        written: dict[str, Hashable] = {}  # 1 and "1" are one key to whoever reads numbers
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":  # "<<" may stand several times, and gives way to own keys
                continue
            line = key_node.start_mark.line + 1
            if isinstance(key_node, yaml.ScalarNode) and len(key_node.value) > MAX_KEY:
                raise StrictYamlError(f"line {line}: a key of {len(key_node.value)} characters")
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable) or key != key:
                raise StrictYamlError(f"line {line}: a list, a mapping or NaN is no key")
            if key in lines:
                both = f"key {quoted(key)} stands twice, in lines {lines[key]} and {line}"
                raise StrictYamlError(f"{both}; keep one of them")
            if isinstance(key_node, yaml.ScalarNode):
                twin = written.setdefault(key_node.value, key)
                if twin != key:
                    both = f"keys {quoted(twin)} and {quoted(key)} differ only in quotes"
                    raise StrictYamlError(f"{both}, in lines {lines[twin]} and {line}; keep one of them")
            lines[key] = line
        return dict(super().construct_mapping(node, deep=deep))


for _tag in ("int", "float"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_tag}", _Loader.construct_number)
_Loader.add_constructor("tag:yaml.org,2002:timestamp", _Loader.construct_date)
for _tag in ("binary", "omap", "pairs", "set"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_tag}", _Loader.construct_other)
_Loader.add_constructor(None, _Loader.construct_other)


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
            that stand for more than 250 000 values; a NUL, a number of more than 1000 characters, or a tag such as
            ``!!binary``. Dates are text.
    """
    if len(text) > MAX_BYTES:
        raise StrictYamlError(_too_long())
    try:
        _check_bounds(text)
        return yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = "" if mark is None else f"line {mark.line + 1}: "
        raise StrictYamlError(f"{where}{_short(error.problem or error.context or 'not YAML')}") from error
    except (yaml.YAMLError, ValueError, OverflowError) as error:  # a date such as 2024-13-45, a character that is none
        if isinstance(error, StrictYamlError):
            raise
        raise StrictYamlError(_short(str(error))) from error


def _short(text: str) -> str:
    return clipped(" ".join(text.split()), 200)


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
                raise StrictYamlError(f"line {event.start_mark.line + 1}: *{_short(event.anchor)} stands inside itself")
            count += stands_for.get(event.anchor, 1)
        elif isinstance(event, yaml.ScalarEvent):
            if _NO_TEXT.search(event.value):
                raise StrictYamlError(f"line {event.start_mark.line + 1}: a NUL or half a character, which no name has")
            count += 1
            if event.anchor is not None:
                stands_for[event.anchor] = 1
        if count > MAX_NODES:
            raise StrictYamlError(
                f"line {event.start_mark.line + 1}: more than {MAX_NODES:,} values, aliases counted out"
            )
