"""The files of a run folder: their names, written atomically, read with errors that a user can act on."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from vtadapt import strict_json
from vtadapt.atomic import disk_error, whole_file, write_text
from vtadapt.checked import DamagedError, line_of
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

PACKS = "packs.json"


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object, less its checksum.

    Raises:
        ConfigError: missing, broken or damaged.
    """
    try:
        content = strict_json.read_checked(path)
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read {os.fspath(path)!r}: {error}; wanted the JSON file of a run") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{os.fspath(path)!r} holds a {type(content).__name__}; wanted a JSON object")
    return content


def append_line(path: Path, record: Mapping[str, Any]) -> None:
    """Append one JSON line to ``metrics.jsonl``."""
    with disk_error(path), path.open("a", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
        file.write(line_of(record) + "\n")


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The records of ``metrics.jsonl``; none where it is not there.

    A last line that a killed run left half-written is passed over.

    Raises:
        ConfigError: another line is damaged, or the file cannot be read.
    """
    return [record for record, _ in _lines(path)]


def _lines(path: Path) -> list[tuple[dict[str, Any], bytes]]:
    """The records of ``metrics.jsonl``, each with its line."""
    try:
        lines = path.read_bytes().split(b"\n") if path.exists() else []
    except OSError as error:
        raise ConfigError(f"cannot read {os.fspath(path)!r}: {error.strerror}") from error
    found = []
    for number, line in enumerate(lines, 1):
        last = number == len(lines)  # without an end of its own: nothing, or what a killed run left half-written
        if last and not line:
            continue
        try:
            record = strict_json.parse_checked_line(line)
            int(record["step"]), str(record["split"])
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            if last and not isinstance(error, DamagedError):
                continue
            reason = str(error) if isinstance(error, ValueError) else "no record of a step"
            raise ConfigError(
                f"{os.fspath(path)!r}, line {number}: {reason}; put a whole copy back, or move the file away: what was "
                "recorded is then not there, the run's state is"
            ) from error
        found.append((record, line))
    return found


def last_step(path: Path) -> int | None:
    """The step of the last whole line of ``metrics.jsonl``, from its end; None where there is none."""
    try:
        with path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - 65536))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return None
    for line in reversed(lines):
        try:
            return int(strict_json.parse_json(line)["step"])
        except (ValueError, KeyError, TypeError, OverflowError):
            continue
    return None


def step_beyond_results(run: Path, results: Mapping[str, Any]) -> int | None:
    """The last step that a run has logged where its results are of an earlier one: lengthened, and not done yet."""
    reached, told = last_step(run / METRICS), results.get("steps")
    return reached if reached is not None and isinstance(told, int) and reached > told else None


def cut_lines(path: Path, step: int, evaluated: bool = True) -> None:
    """Drop the records of ``metrics.jsonl`` after ``step``, and a last line that a killed run left half-written.

    Args:
        path: the file; may be missing.
        step: that a run goes on from.
        evaluated: False: the evaluation after that step is made again.

    Raises:
        ConfigError: another line is damaged.
    """
    if not path.is_file():
        return
    kept = [
        line + b"\n"
        for record, line in _lines(path)
        if record["step"] <= step and (evaluated or record["step"] < step or record["split"] != "val")
    ]
    write_text(path, b"".join(kept).decode("utf-8"))


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
