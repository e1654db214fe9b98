"""A small CamVid for the tests of preparing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.data.conftest import write_camvid
from vtadapt.data.prepare.prepare import PrepareOptions

SMALL = PrepareOptions(size=(12, 16))


@pytest.fixture
def camvid(tmp_path: Path) -> Path:
    write_camvid(tmp_path / "src ü", {"train": 4, "val": 2})
    return tmp_path / "src ü"
