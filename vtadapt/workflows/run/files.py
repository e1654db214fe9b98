"""The files of a run folder: their names, written atomically, read with errors that a user can act on."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from vtadapt.atomic import disk_error, replace_file, temporary_name
from vtadapt.errors import ConfigError

SETTINGS, CONFIG, MODEL, METRICS, RESULTS = (
    "settings.yaml",
    "config.json",
    "model.safetensors",
    "metrics.jsonl",
    "results.json",
)

STATE = "state.safetensors"

AFFINITY = "affinity.json"


def _drop(temporary: Path) -> None:
    """Remove what an interrupted write left; its own error, such as a parent that is a file, has been told already."""
    with contextlib.suppress(OSError):
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically (UTF-8)."""
    temporary = temporary_name(path)
    try:
        with disk_error(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(text, encoding="utf-8")
            replace_file(temporary, path)
    finally:
        _drop(temporary)


def write_json(path: Path, content: Any) -> None:
    """Write JSON atomically, keys in the order given."""
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        ConfigError: missing or broken.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read {os.fspath(path)!r}: {error}; wanted the JSON file of a run") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{os.fspath(path)!r} holds a {type(content).__name__}; wanted a JSON object")
    return content


def append_line(path: Path, record: Mapping[str, Any]) -> None:
    """Append one JSON line to ``metrics.jsonl``."""
    with disk_error(path), path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(record, ensure_ascii=False) + "\n")


def cut_lines(path: Path, step: int) -> None:
    """Drop the records of ``metrics.jsonl`` after ``step``, and a last line that a killed run left half-written."""
    if not path.is_file():
        return
    kept = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            if json.loads(line)["step"] > step:
                continue
        except (ValueError, KeyError, TypeError):
            continue
        kept.append(line + "\n")
    write_text(path, "".join(kept))


def write_arrays(path: Path, arrays: Mapping[str, Any]) -> Path:
    """Write a compressed .npz atomically."""
    temporary = temporary_name(path)
    try:
        with disk_error(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as file:
                np.savez_compressed(file, **arrays)
            replace_file(temporary, path)
    finally:
        _drop(temporary)
    return path
