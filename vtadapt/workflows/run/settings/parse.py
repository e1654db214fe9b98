"""What was typed, as values."""

from __future__ import annotations

from typing import Any

import yaml

from vtadapt.errors import UsageError


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
        UsageError: no equals sign, or a value that is not YAML.
    """
    values: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals:
            raise UsageError(f"{flag} {pair!r}; wanted KEY=VALUE, for example --set decoder_width=64")
        values[key.strip()] = parse_value(text, f"{flag} {key.strip()}")
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
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UsageError(f"{where} = {text!r}: not a YAML value ({str(error).splitlines()[0]}); quote it") from error
