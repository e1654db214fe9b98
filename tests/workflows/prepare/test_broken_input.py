"""Whatever is wrong with the input: one line that names it, exit code 3, and the previous pack as it was."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.workflows.prepare.broken.archives import ARCHIVE_KINDS, ArchiveKind, zipped
from tests.workflows.prepare.broken.kinds import KINDS, Kind
from tests.workflows.prepare.broken.place import Place, refused, run_alone, tidy
from tests.workflows.prepare.broken.sources import GOOD
from vtadapt.data.pack.manifest import open_manifest, open_pack
from vtadapt.data.recipe.recipe import load_recipe
from vtadapt.workflows.prepare.prepare_data import dry_run, prepare_data


@pytest.mark.parametrize("data", GOOD)
def test_the_good_sources_are_good(cli: Callable[..., Any], place_of: Callable[[str], Place], data: str) -> None:
    place = place_of(data)
    before = place.pack()
    ran = cli(*place.asked())
    assert (ran.code, ran.err) == (0, "")
    assert place.pack() == before
    assert cli(*place.asked(), "--force").code == 0
    assert set(place.pack()) == set(before)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_broken_files(cli: Callable[..., Any], place_of: Callable[[str], Place], kind: Kind) -> None:
    place = place_of(kind.data)
    before = place.pack()
    named = kind.spoil(place.source)
    refused(cli(*place.asked()), named, kind.says)
    assert place.pack() == before
    tidy(place)
    assert all("\n" not in problem for problem in dry_run(place.recipe, [place.source], place.options)["problems"])
    shutil.rmtree(place.source)  # put right again, the pack is kept and what the failed run left is gone
    place_of(kind.data)
    assert prepare_data(place.recipe, place.source, place.data, place.options, quiet=True)["kept"]
    assert {p.name for p in place.data.iterdir()} == {place.name, f".{place.name}.lock"}


@pytest.mark.parametrize("kind", ARCHIVE_KINDS, ids=lambda kind: kind.name)
def test_broken_archives(cli: Callable[..., Any], place_of: Callable[[str], Place], kind: ArchiveKind) -> None:
    place = place_of("camvid")
    before = place.pack()
    (place.folder / "down loads").mkdir()
    sources, named = kind.spoil(place.source, place.folder / "down loads")
    around = {p for p in place.folder.rglob("*") if place.data not in p.parents}
    refused(cli(*place.asked(sources)), named, kind.says)
    assert place.pack() == before
    tidy(place)
    assert {p for p in place.folder.rglob("*") if place.data not in p.parents} == around
    assert not Path("/tmp/evil.png").exists()


def test_an_archive_put_right_leaves_nothing_unpacked(
    cli: Callable[..., Any], place_of: Callable[[str], Place]
) -> None:
    place = place_of("camvid")
    good = zipped(place.source, place.folder / "CamVid.zip")
    assert cli(*place.asked([good])).code == 0
    before, stamp = place.pack(), good.stat()
    zipped(place.source, good, {"train/train bücher 1.png": b"x"})
    refused(cli(*place.asked([good])), f"{good}: train/train bücher 1.png", "broken picture")
    assert (place.data / ".camvid.source").is_dir()
    zipped(place.source, good)
    os.utime(good, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert cli(*place.asked([good])).code == 0
    assert place.pack() == before
    assert {p.name for p in place.data.iterdir()} == {"camvid", ".camvid.lock"}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("nothing here", "no such file or folder; wanted what was downloaded"),
        ("the süurcee", "no such file or folder.*Did you mean 'the süurce'"),
        ("the süurce/train/train bücher 0.png", "a file; wanted a folder with"),
        ("the süurce/train/empty", "empty folder; wanted the data set's files or archives"),
        ("the süurce/pipe", "neither a file nor a folder"),
    ],
)
def test_sources_that_are_none(
    cli: Callable[..., Any], place_of: Callable[[str], Place], given: str, says: str
) -> None:
    place = place_of("camvid")
    before = place.pack()
    (place.source / "train" / "empty").mkdir()
    os.mkfifo(place.source / "pipe")
    refused(cli(*place.asked([place.folder / given])), place.folder / given, says)
    assert place.pack() == before
    tidy(place)


def test_a_file_that_may_not_be_read(cli: Callable[..., Any], place_of: Callable[[str], Place]) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may read every file")
    place = place_of("camvid")
    before = place.pack()
    path = min(place.source.glob("train/*.png"))
    path.write_bytes(path.read_bytes())  # else the pack would be kept
    path.chmod(0)
    refused(cli(*place.asked()), path, "Permission denied")
    assert place.pack() == before


# what is right, though it may look wrong


def test_depth_that_is_not_finite_is_missing_and_counted(
    cli: Callable[..., Any], place_of: Callable[[str], Place]
) -> None:
    place = place_of("mtan_nyuv2")
    holes = open_pack(place.data, place.name, "train").read(0)["depth"] == 0
    path = place.source / "train" / "depth" / "0.npy"
    depth = np.load(path).astype(np.float64)
    depth[0, :4, 0] = np.nan, np.inf, -np.inf, np.finfo(np.float64).max
    np.save(path, depth)
    np.save(place.source / "val" / "depth" / "0.npy", np.full_like(depth, np.nan))
    ran = cli(*place.asked())
    assert (ran.code, ran.err) == (0, "")
    stored = open_pack(place.data, place.name, "train").read(0)["depth"]
    assert not stored[0, :4].any()
    np.testing.assert_array_equal(stored[1:] == 0, holes[1:])
    splits = open_manifest(place.data, place.name)["splits"]
    train, val = (splits[split]["tasks"]["depth"] for split in ("train", "val"))
    two = [open_pack(place.data, place.name, "train").read(i)["depth"] for i in (0, 1)]
    assert train["valid_share"] == pytest.approx(np.mean([d > 0 for d in two]), abs=1e-6)
    assert train["max"] == max(float(d.max()) for d in two)
    assert (val["samples"], val["valid_share"], val["min"], val["max"]) == (1, 0.0, None, None)
    assert re.search(r"depth +│ +1 │ +0 % │ - ", ran.out), ran.out


def test_numbers_that_are_not_finite_are_missing_in_own_data(
    cli: Callable[..., Any], place_of: Callable[[str], Place]
) -> None:
    place = place_of("folder")
    path = place.source / "normals" / "ä b" / "heat0.npy"
    warmth = np.full((12, 16), 20.0)
    warmth[0, :3] = np.inf, np.nan, 1e300
    np.save(path, warmth)
    ran = cli(*place.asked())
    assert (ran.code, ran.err) == (0, "")
    stored = open_pack(place.data, "mine", "train").read(0)["warmth"]
    assert np.isnan(stored).sum() == np.isnan(stored[0, :3]).sum() == 3


def test_labels_that_are_not_there_are_counted(cli: Callable[..., Any], place_of: Callable[[str], Place]) -> None:
    place = place_of("mtan_nyuv2")
    (place.source / "train" / "depth" / "0.npy").unlink()
    ran = cli(*place.asked())
    assert (ran.code, ran.err) == (0, "")
    assert open_manifest(place.data, place.name)["splits"]["train"]["missing"]["depth"]["samples"] == 1
    assert "train: 1 samples without depth, the first lacks " in ran.out


def test_names_that_are_no_utf_8_work(cli: Callable[..., Any], place_of: Callable[[str], Place]) -> None:
    place = place_of("camvid")
    strange = "Stra\udcdfe.png"  # Latin-1, as old archives have it
    for folder in ("train", "trainannot"):
        min(place.source.glob(f"{folder}/*")).rename(place.source / folder / strange)
    if strange not in os.listdir(place.source / "train"):
        pytest.skip("this file system changes such names")
    ran = cli(*place.asked())
    assert (ran.code, ran.err) == (0, "")
    assert "Stra\\udcdfe" in open_pack(place.data, "camvid", "train").names
    (place.source / "train" / strange).write_bytes(b"x")
    refused(cli(*place.asked()), "train/Stra", r"Stra.*e\.png: broken picture")
    ran = run_alone([*place.asked(), "--skip-broken"])
    assert (ran.code, ran.err) == (0, "")
    assert "Stra\\udcdfe.png: broken picture" in ran.out


def test_broken_samples_can_be_left_out(cli: Callable[..., Any], place_of: Callable[[str], Place]) -> None:
    place = place_of("camvid")
    first = min(place.source.glob("train/*.png"))
    first.write_bytes(b"")
    ran = cli(*place.asked(), "--skip-broken")
    assert (ran.code, ran.err) == (0, "")
    train = open_manifest(place.data, "camvid")["splits"]["train"]
    assert (train["samples"], [b["name"] for b in train["broken"]]) == (1, [first.stem])
    assert f"train: 1 broken samples left out, the first: {first}: broken picture (an empty file)" in ran.out


def test_there_are_enough_kinds() -> None:
    assert len({kind.name for kind in KINDS}) == len(KINDS) >= 40
    assert (
        len({load_recipe(GOOD[kind.data].recipe or kind.data).reader for kind in KINDS if kind.data != "folder"}) >= 12
    )
