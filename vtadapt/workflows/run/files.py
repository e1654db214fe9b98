"""The files of a run folder: their names, written atomically, read with errors that a user can act on."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from vtadapt import strict_json
from vtadapt.atomic import disk_error, whole_file, write_text
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


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        ConfigError: missing or broken.
    """
    try:
        content = strict_json.read_json(path)
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
            if strict_json.parse_json(line)["step"] > step:
                continue
        except (ValueError, KeyError, TypeError):
            continue
        kept.append(line + "\n")
    write_text(path, "".join(kept))


def write_arrays(path: Path, arrays: Mapping[str, Any]) -> Path:
    """Write an .npz as ``whole_file`` does; whole numbers are compressed.

    Floating-point numbers are stored as they are: packing them would take longer than predicting them, and save a
    sixth of the file.
    """
    with whole_file(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, value in arrays.items():
            array = np.asanyarray(value)
            entry = zipfile.ZipInfo(f"{name}.npy")  # of a fixed date: the same arrays are the same file
            entry.compress_type = zipfile.ZIP_STORED if array.dtype.kind == "f" else zipfile.ZIP_DEFLATED
            with archive.open(entry, "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)
    return path
