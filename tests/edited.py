"""Files of a run changed as a person does who was told of their checksums: without them."""

from __future__ import annotations

import json
from pathlib import Path

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
