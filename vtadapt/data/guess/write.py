"""A recipe as text: what was found, with questions as comments where a person must decide."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_ -]*(?<! )")
_WORDS = {"yes", "no", "on", "off", "true", "false", "null", "y", "n", "~"}  # which YAML reads as something else
WIDE = 120


def scalar(value: Any) -> str:
    """One value in YAML."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        plain = _PLAIN.fullmatch(value) and value.lower() not in _WORDS
        return value if plain else json.dumps(value, ensure_ascii=False)
    if isinstance(value, float):
        text = repr(value)
        return text if "e" not in text else f"{value:.8f}".rstrip("0")
    return str(value)


def flow(value: Any) -> str:
    """Lists and mappings in one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{scalar(key)}: {flow(of)}" for key, of in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(flow, value)) + "]"
    return scalar(value)


def entry(key: str, value: Any, indent: int) -> list[str]:
    """``key: value`` in one line where it fits, else with a line for each part of it."""
    margin = " " * indent
    line = f"{margin}{scalar(key)}: {flow(value)}"
    if len(line) <= WIDE or not isinstance(value, Mapping | list | tuple) or not value:
        return [line]
    if isinstance(value, Mapping):
        return [f"{margin}{scalar(key)}:", *(part for k, of in value.items() for part in entry(k, of, indent + 2))]
    return [f"{margin}{scalar(key)}:", *(f"{margin}  - {flow(of)}" for of in value)]


def comment(text: str, indent: int) -> list[str]:
    """A comment, broken into lines."""
    words, lines, line = text.split(), [], " " * indent + "#"
    for word in words:
        if len(line) + 1 + len(word) > WIDE:
            lines.append(line)
            line = " " * indent + "#"
        line += f" {word}"
    return [*lines, line]


def recipe_text(about: Mapping[str, Any], sections: Sequence[tuple[str, Mapping[str, Any], Mapping[str, Any]]]) -> str:
    """The whole recipe.

    Args:
        about: keys and values at the top.
        sections: name, entries and comments of each mapping that follows; comments come before the entry of their key.
    """
    lines: list[str] = []
    for key, value in about.items():
        if key.startswith("#"):
            lines += comment(value, 0)
        else:
            lines += entry(key, value, 0)
    for name, entries, comments in sections:
        lines.append(f"{name}:")
        lines += _section(entries, comments, 2)
    return "\n".join(lines) + "\n"


def _section(entries: Mapping[str, Any], comments: Mapping[str, Any], indent: int) -> list[str]:
    lines: list[str] = []
    for key, value in entries.items():
        inner = comments.get(key)
        for text in inner if isinstance(inner, list) else ():
            lines += comment(text, indent)
        if isinstance(inner, Mapping) and isinstance(value, Mapping):
            lines.append(f"{' ' * indent}{scalar(key)}:")
            lines += _section(value, inner, indent + 2)
        else:
            lines += entry(key, value, indent)
    return lines
