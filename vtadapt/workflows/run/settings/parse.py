"""What was typed, as values."""

from __future__ import annotations

from typing import Any

import yaml

from vtadapt.errors import UsageError, quoted
from vtadapt.strict_yaml import StrictYamlError, parse_yaml


def parse_list(text: str | None) -> list[str] | None:
    """Split what was typed with commas; None where nothing was."""
    return None if text is None else [part.strip() for part in text.split(",") if part.strip()]


def parse_size(text: str | None) -> tuple[int, int] | None:
    """Read (height, width) from "HEIGHTxWIDTH"; None where nothing was typed.

    Raises:
        UsageError: something else was typed.
    """
    if text is None:
        return None
    try:
        height, width = (int(part) for part in text.lower().split("x"))
    except ValueError as error:
        raise UsageError(f"size {text!r}; wanted HEIGHTxWIDTH such as 240x320") from error
    if min(height, width) < 1:
        raise UsageError(f"size {text!r}; both sides must be positive")
    return height, width


def parse_assignments(pairs: list[str], flag: str = "--set") -> dict[str, Any]:
    """Read the KEY=VALUE of ``--set`` (or another ``flag``); values are YAML.

    Raises:
        UsageError: no equals sign, a value that is not YAML, or a key given twice.
    """
    values: dict[str, Any] = {}
    typed: dict[str, str] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        key = name.strip()
        if not equals or not key:
            raise UsageError(f"{flag} {quoted(pair)}; wanted KEY=VALUE, for example {flag} decoder_width=64")
        if key in typed:
            raise UsageError(f"{key!r} is given twice, by {flag} {typed[key]} and by {flag} {pair}; keep one of them")
        values[key], typed[key] = parse_value(text, f"{flag} {key}"), pair
    return values


def parse_by_method(pairs: list[str]) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Read ``--set`` of a command with several methods: settings of all (KEY=VALUE), and of one (METHOD:KEY=VALUE).

    Raises:
        UsageError: see :func:`parse_assignments`.
    """
    common: dict[str, Any] = {}
    own: dict[str, dict[str, Any]] = {}
    for key, value in parse_assignments(pairs).items():
        method, _, name = key.rpartition(":")
        (own.setdefault(method, {}) if method else common)[name] = value
    return common, own


def parse_value(text: str, where: str) -> Any:
    """Read a YAML value.

    Args:
        text: as typed.
        where: for the message.

    Raises:
        UsageError: it is none.
    """
    try:
        return parse_yaml(text)
    except StrictYamlError as error:
        raise UsageError(f"{where} = {quoted(text)}: not a YAML value ({error}); quote it") from error


def value_text(value: Any) -> str:
    """A value of plain Python types as one types it after ``--set KEY=``."""
    text: str = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10**6)
    return text.removesuffix("\n").removesuffix("\n...")
