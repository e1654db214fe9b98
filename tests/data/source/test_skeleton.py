"""A dry run reads the names in archives, and unpacks nothing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.data.formats.archives import tree, write_tar, write_zip
from tests.data.source.conftest import BOTH, IMAGES, LABELS, fails
from vtadapt.data.source.source import names, skeleton
from vtadapt.errors import DataError


@pytest.fixture
def dry(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "dry run"
    folder.mkdir()
    yield folder


def test_names_without_unpacking(tmp_path: Path, archives: list[Path]) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "train.txt").write_bytes(b"12345")
    listed = list(names([*archives, tmp_path / "own"]))
    assert dict(listed) == {n: len(c) for n, c in (LABELS | IMAGES).items()} | {"train.txt": 5}
    assert len(listed) == 43  # README twice: one per archive


def test_skeleton_has_all_names_and_the_lists(tmp_path: Path, dry: Path) -> None:
    lists = {"set/train.txt": b"1\n2\n", "set/meta ü.csv": b"a,b", "set/camera/1.json": b"{}"}
    large = {"set/large.yaml": b"x" * (1 << 20) + b"x", "set/rgb/1.png": b"png", "set/gt/1.mat": b"mat"}
    a = write_zip(tmp_path / "a.zip", lists | large)
    b = write_tar(tmp_path / "b.tar.bz2", {"set/depth/1.png": b"depth", "set/test.txt": b"3\n"}, "w:bz2")
    before = set(tmp_path.iterdir())
    assert skeleton([a, b], dry) == dry
    wanted = lists | dict.fromkeys([*large, "set/depth/1.png"], b"") | {"set/test.txt": b"3\n"}
    assert tree(dry) == wanted and set(tmp_path.iterdir()) == before


def test_skeleton_needs_no_room(
    tmp_path: Path, dry: Path, archives: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Archives can be looked at where there is no room to unpack them."""
    usage = shutil.disk_usage(tmp_path)._replace(free=0)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    fails(archives, tmp_path / "cache", "there is room for 0")
    assert set(tree(skeleton(archives, dry))) == set(BOTH)


def test_skeleton_refuses_what_unpacking_would(tmp_path: Path, dry: Path) -> None:
    evil = write_tar(tmp_path / "evil.tar", {"../../evil.txt": b"x"})
    with pytest.raises(DataError, match="'..' in its path"):
        skeleton([evil], dry)
    assert not list(tmp_path.rglob("evil.txt"))
