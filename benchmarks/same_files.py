"""What two equal runs share of their files, for benchmarks/kill.py."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from vtadapt.checked import parse_json, parse_line

CHANGING = {
    "seconds",
    "train_seconds",
    "seconds_per_step",
    "peak_memory",
    "prepared",
    "run",
    "folder",
    "panels",
    "cells",
}
LEFT_OUT = {".lock", "log.txt", "report.html", "lock", "stderr"}


def contents(folder: Path) -> dict[str, str]:
    """Every file that two equal runs share -> digest of what they share of it."""
    found = {}
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if path.is_file() and not {"tensorboard", "cache"} & {*relative.parts} and path.name not in LEFT_OUT:
            digest = hashlib.sha256()
            for part in _parts(path, str(folder)):
                digest.update(part)
            found[str(relative)] = digest.hexdigest()
    return found


def _parts(path: Path, folder: str) -> Iterator[bytes]:
    if path.suffix == ".safetensors":
        with safe_open(path, framework="pt") as file:
            for key in sorted(file.keys()):
                yield (
                    key.encode()
                    + file.get_tensor(key).contiguous().reshape(-1).view(dtype=torch.uint8).numpy().tobytes()
                )
    elif path.suffix == ".jsonl":
        yield from (json.dumps(_same(parse_line(line), folder)).encode() for line in path.read_bytes().splitlines())
    elif path.suffix == ".json":
        yield json.dumps(_same(parse_json(path.read_bytes()), folder), sort_keys=True).encode()
    elif path.suffix in (".yaml", ".md"):
        lines = path.read_text().replace(folder, "").splitlines()
        yield "\n".join(line for line in lines if path.suffix == ".yaml" and not line.startswith("#")).encode()
    elif path.suffix != ".png":  # captions have seconds
        yield path.read_bytes()


def _same(value: Any, folder: str) -> Any:
    """JSON without what no two runs share."""
    if isinstance(value, dict):
        kept = {k: v for k, v in value.items() if k not in CHANGING and "second" not in k}
        return {key: _same(each, folder) for key, each in kept.items()}
    if isinstance(value, list):
        return [_same(each, folder) for each in value]
    return value.replace(folder, "") if isinstance(value, str) else value


def differences(found: dict[str, str], wanted: dict[str, str]) -> list[str]:
    """Files that are not the same, or temporary ones that were left."""
    wrong = [name for name in wanted if found.get(name) != wanted[name]]
    return wrong + [name for name in found if name not in wanted]
