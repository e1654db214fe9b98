"""Links in a source: what leads out of it is refused by name, all else is read as before."""

from __future__ import annotations

from pathlib import Path

import pytest

from vtadapt.data.source.links import need_no_way_out
from vtadapt.data.source.source import open_source, skeleton
from vtadapt.errors import DataError


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder with a picture, and a list and a folder outside of it."""
    (tmp_path / "src" / "images").mkdir(parents=True)
    (tmp_path / "src" / "images" / "a.png").write_bytes(b"a")
    (tmp_path / "private").mkdir()
    (tmp_path / "private" / "key.txt").write_text("secret")
    return tmp_path / "src"


def refused(source: Path, *others: Path) -> str:
    with pytest.raises(DataError) as caught:
        need_no_way_out([source, *others])
    return str(caught.value)


@pytest.mark.parametrize("target", ["private/key.txt", "private"])
def test_a_link_out_is_refused_by_name_wherever_it_is(source: Path, tmp_path: Path, target: str) -> None:
    link = source / "images" / "deep" / "x"
    link.parent.mkdir()
    link.symlink_to(tmp_path / target)
    text = refused(source)
    assert text.startswith(f"{link} -> {tmp_path / target}: a link that leads out of the source; ")
    assert "--follow-links" in text
    (source / "train.txt").symlink_to(tmp_path / "private" / "key.txt")
    assert "(and 1 more)" in refused(source)
    with pytest.raises(DataError, match="leads out of the source"):
        skeleton([source], tmp_path / "dry")
    with pytest.raises(DataError, match="leads out of the source"), open_source([source], tmp_path / "c"):
        pass
    assert skeleton([source], tmp_path / "dry", follow_links=True) == source
    with open_source([source], tmp_path / "c", follow_links=True) as opened:
        assert opened == source
    need_no_way_out([source, tmp_path / "private"])  # what was named, too


def test_a_link_behind_a_link_is_seen(source: Path, tmp_path: Path) -> None:
    hidden = source / ".store"
    hidden.mkdir()
    (hidden / "x.png").symlink_to(tmp_path / "private" / "key.txt")
    need_no_way_out([source])  # hidden, so that nobody reads it
    (source / "labels").symlink_to(".store")
    assert str(source / "labels" / "x.png") in refused(source)


def test_links_that_stay_inside_or_lead_nowhere_are_none_of_those(source: Path, tmp_path: Path) -> None:
    (source / "b.png").symlink_to("images/a.png")
    (source / "again").symlink_to("images")
    (source / "loop").symlink_to(".")
    (source / "images" / "self.png").symlink_to("self.png")
    (source / "lost.png").symlink_to(tmp_path / "nothing")
    need_no_way_out([source])
    (tmp_path / "linked").symlink_to(source)  # the source itself
    need_no_way_out([tmp_path / "linked"])
    (tmp_path / "src2").mkdir()  # begins with the same letters
    (source / "c.png").symlink_to(tmp_path / "src2")
    assert str(tmp_path / "src2") in refused(tmp_path / "linked")


def test_the_store_of_a_snapshot_is_inside(tmp_path: Path) -> None:
    table = tmp_path / "datasets--a--b" / "snapshots" / "0123" / "data" / "train.parquet"
    table.parent.mkdir(parents=True)
    (tmp_path / "datasets--a--b" / "blobs").mkdir()
    (tmp_path / "datasets--a--b" / "blobs" / "ff").write_bytes(b"x")
    table.symlink_to("../../../blobs/ff")
    need_no_way_out([table.parents[1]])
    (tmp_path / "key").write_text("secret")
    table.with_name("val.parquet").symlink_to(tmp_path / "key")
    assert "val.parquet" in refused(table.parents[1])
