"""Archives of a small data set, for the tests of sources."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.data.formats.archives import write_tar, write_zip
from vtadapt.data.source.source import open_source
from vtadapt.errors import DataError

IMAGES = {f"root/left/{i} ü.png": bytes([i]) * 5000 for i in range(20)} | {"README": b"of the images"}


LABELS = {f"root/labels/{i} ü.png": bytes([i]) * 300 for i in range(20)} | {"README": b"of the labels"}


BOTH = LABELS | IMAGES  # the first README stays


@pytest.fixture
def archives(tmp_path: Path) -> list[Path]:
    folder = tmp_path / "Meine Daten ü"
    folder.mkdir()
    return [write_zip(folder / "left img.zip", IMAGES), write_tar(folder / "labels.tar.gz", LABELS, "w:gz")]


def fails(sources: list[Path], cache: Path, match: str) -> str:
    with pytest.raises(DataError, match=match) as caught, open_source(sources, cache):
        pass
    assert "\n" not in str(caught.value)
    return str(caught.value)
