"""The numbers that a run recorded, read back: totals, metrics and curves. What is broken is told."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vtadapt.checked import DamagedError
from vtadapt.errors import ConfigError
from vtadapt.strict_json import parse_checked_line
from vtadapt.workflows.run import files

POINTS = 300  # of a curve at most; longer ones are averaged
BROKEN = (
    ConfigError,
    OSError,
    OverflowError,
    RecursionError,
    KeyError,
    TypeError,
    ValueError,
    IndexError,
    AttributeError,
)


def broken(name: str, error: Exception) -> str:
    """A sentence on a file that cannot be shown."""
    return f"{name} cannot be shown: {' '.join(str(error).split())}."


def totals_of(run: Path) -> tuple[dict[str, float | None], list[str]]:
    """The steps and seconds that ``results.json`` tells, by their keys there, and what is wrong with them.

    A file that is missing or cannot be read at all gives nothing here: :func:`measured_of` tells.
    """
    try:
        content = files.read_json(run / files.RESULTS)
    except BROKEN:
        return {}, []
    found, missing = {}, []
    for key in ("steps", "train_seconds"):
        try:
            found[key] = _numbers(content.get(key), 0, key)
        except BROKEN as error:
            missing.append(broken(f"{key} of {files.RESULTS}", error))
    return found, missing


def measured_of(run: Path, more: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """The metrics of the end of training, then those of ``vtadapt eval``; and the files that cannot be shown.

    Args:
        run: folder of the run.
        more: folder that ``vtadapt eval`` writes into.
    """
    found, missing = [], []
    measured = [path for folder in dict.fromkeys((run, more)) for path in sorted(folder.glob("eval-*.json"))]
    for path in [run / files.RESULTS, *measured]:
        if not path.is_file():
            continue
        try:
            content = files.read_json(path)
            if "metrics" not in content:
                raise ValueError("it has no metrics")
            entry = {"source": path.name, "split": str(content.get("split", "val"))}
            depths = {"metrics": 3, "counts": 3, "images": 1}
            found.append(entry | {k: _numbers(content[k], depth, k) for k, depth in depths.items() if k in content})
        except BROKEN as error:
            missing.append(broken(path.name, error))
    return found, missing


def _numbers(value: Any, depth: int, name: str) -> Any:
    """Mappings nested so deep, of numbers; None for what is null or not finite. ValueError for anything else."""
    if depth:
        if not isinstance(value, dict):
            raise ValueError(f"{name} is {str(value)[:40]!r}, wanted an object")
        return {key: _numbers(each, depth - 1, f"{name}/{key}") for key, each in value.items()}
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name} is {str(value)[:40]!r}, wanted a number")
    return value if math.isfinite(value) else None


def read_records(path: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """The records of ``metrics.jsonl``, and what is wrong with others.

    A last line that a killed run left half-written is passed over.
    """
    if not path.is_file():
        return [], []
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        return [], [broken(path.name, error)]
    found, wrong = [], []
    for i, line in enumerate(lines, 1):
        if i == len(lines) and not line:
            continue
        try:
            found.append(_record(line))
        except BROKEN as error:
            if i < len(lines) or isinstance(error, DamagedError):
                wrong.append((i, error))
    if not wrong:
        return found, []
    more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
    return found, [broken(f"Line {wrong[0][0]}{more} of {path.name}", wrong[0][1])]


def _record(line: bytes) -> dict[str, Any]:
    record = parse_checked_line(line)
    if not isinstance(record, dict):
        raise ValueError(f"found {line[:40].decode(errors='replace')!r}, wanted an object")
    step = _numbers(record.get("step"), 0, "step")
    if step is None:
        raise ValueError("it has no step")
    depths = {"loss": 1, "metrics": 3, "lr": 0}
    return record | {key: _numbers(record[key], depth, key) for key, depth in depths.items() if key in record}


def curves_of(records: Sequence[Mapping[str, Any]], val_images: int | None) -> dict[str, Any]:
    """Curves over steps: losses and learning rate of training, metrics of the validations.

    A step that stands there twice (a run that was resumed) counts once, as it was recorded last.
    """
    loss: dict[str, dict[float, float]] = {}
    rate: dict[float, float] = {}
    metrics: dict[str, dict[str, dict[str, dict[float, float]]]] = {}
    for record in records:
        step = record["step"]
        for name, value in record.get("loss", {}).items():
            loss.setdefault(name, {})[step] = value
        if isinstance(record.get("lr"), int | float):
            rate[step] = record["lr"]
        for data, by_task in record.get("metrics", {}).items():
            for name, values in by_task.items():
                for key, value in values.items():
                    metrics.setdefault(name, {}).setdefault(key, {}).setdefault(data, {})[step] = value
    longest = max((len(points) for points in loss.values()), default=0)
    size = math.ceil(longest / POINTS) or 1
    limit = "all images" if val_images is None else f"at most {val_images} images of each set, evenly spaced"
    return {
        "loss": {name: _binned(points, size) for name, points in loss.items()},
        "lr": _binned(rate, size),
        "binned": size,
        "metrics": {
            name: {key: {data: _binned(points, 1) for data, points in by.items()} for key, by in keys.items()}
            for name, keys in metrics.items()
        },
        "about": f"After epochs, on {limit}; the numbers above are of the whole split.",
    }


def _binned(points: Mapping[float, float], size: int) -> list[list[float]]:
    """Means of ``size`` points each, in the order of their steps; what is not a number is left out."""
    rising = sorted((step, v) for step, v in points.items() if isinstance(v, int | float) and math.isfinite(v))
    chunks = [rising[i : i + size] for i in range(0, len(rising), size)]
    return [[sum(s for s, _ in c) / len(c), sum(v for _, v in c) / len(c)] for c in chunks]
