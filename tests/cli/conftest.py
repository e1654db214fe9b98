"""A working folder for the tests of the command line."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

SMALL = {"WEIGHTS": "random", "BATCH_SIZE": "6", "EPOCHS": "1", "ACCELERATOR": "cpu", "PRECISION": "32-true"}


@pytest.fixture
def project(tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the tiny packs and one run in their default places."""
    (tmp_path / "data").symlink_to(tiny.data_dir)
    shutil.copytree(tiny.run, tmp_path / "runs" / tiny.run.name)
    Image.new("RGB", (31, 20), (90, 120, 30)).save(tmp_path / "photo.png")
    monkeypatch.chdir(tmp_path)
    for name, value in SMALL.items():
        monkeypatch.setenv(f"VTADAPT_{name}", value)
    return tmp_path
