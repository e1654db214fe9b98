"""Files that have a checksum: read by it, and changed as a person does who was told of it, without."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from vtadapt.checked import parse_json


def edit(path: Path, old: str, new: str) -> None:
    """Replace ``old``, which is there, in a file of JSON or YAML."""
    if path.suffix == ".json":
        text = json.dumps(parse_json(path.read_bytes()), indent=1)
    else:
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        text = "".join(line for line in lines if not line.startswith("#"))
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def with_checksum(path: Path) -> Any:
    """The content of a JSON file that has a checksum, which is the right one."""
    data = path.read_bytes()
    assert data.startswith(b'{\n "checksum": "')
    return parse_json(data)
