"""Taskonomy: files that are broken, of another kind, or not where they should be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.data.formats.taskonomy import SIZE, write_taskonomy
from tests.data.readers.published.small_taskonomy import NATIVE, expected, reader
from vtadapt.data.prepare.prepare import PrepareOptions, prepare
from vtadapt.data.recipe.recipe import load_recipe
from vtadapt.errors import DataError


def _truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-60])


def _save(array: np.ndarray) -> Callable[[Path], None]:
    return lambda path: Image.fromarray(array).save(path)


GREY8, GREY16, RGB = np.zeros(SIZE, np.uint8), np.zeros(SIZE, np.uint16), np.zeros((*SIZE, 3), np.uint8)


@pytest.mark.parametrize(
    ("role", "spoil", "message"),
    [
        ("depth", _truncated, "broken picture"),
        ("depth", lambda path: path.write_bytes(b""), "broken picture"),
        ("image", _truncated, "broken picture"),
        ("depth", _save(GREY8), "8-bit picture, wanted 16 bits"),
        ("depth", _save(RGB), "picture of mode RGB, wanted one channel"),
        ("depth_euclidean", _save(GREY8), "8-bit picture, wanted 16 bits"),
        ("edges_texture", _save(GREY8), "8-bit picture, wanted 16 bits"),
        ("keypoints2d", _save(np.zeros((8, 8), np.uint16)), "label of 8x8 pixels, its image has 20x20"),
        ("normals", _save(GREY8), "picture of mode L, wanted 8 bits and mode RGB or RGBA"),
        ("reshading", _save(GREY16), "16-bit picture of mode L, wanted 8 bits and mode L or RGB"),
        ("principal_curvature", _save(GREY8), "picture of mode L, wanted 8 bits"),
        ("semseg", _save(np.full(SIZE, 18, np.uint8)), r"label ids 18, wanted 0\.\.17"),
        ("semseg", _save(RGB), "picture of mode RGB, wanted one channel"),
        ("mask", _save(RGB), "picture of mode RGB, wanted one channel"),
        ("mask", _save(np.zeros((8, 8), np.uint8)), "label of 8x8 pixels"),
    ],
)
def test_broken_files_are_named(tmp_path: Path, role: str, spoil: Callable[[Path], None], message: str) -> None:
    write_taskonomy(tmp_path, ["allensville"], views=[(0, 0)])
    item = reader().find(tmp_path, "train")[0]
    spoil(item.paths[role])
    with pytest.raises(DataError, match=message) as caught:
        reader().load(item)
    assert str(item.paths[role]) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_corrupt_files_are_left_out_and_listed_if_asked(tmp_path: Path) -> None:
    write_taskonomy(tmp_path / "in", ["allensville", "darden"], "building")
    bad = tmp_path / "in/allensville/normal/point_2_view_1_domain_normal.png"
    _truncated(bad)
    with pytest.raises(DataError, match="point_2_view_1_domain_normal.png: broken picture .*1 of 3 samples"):
        prepare(load_recipe("taskonomy"), tmp_path / "in", tmp_path / "packs", NATIVE)
    options = PrepareOptions(size="native", skip_broken=True)
    manifest = prepare(load_recipe("taskonomy"), tmp_path / "in", tmp_path / "packs", options)
    assert manifest["splits"]["train"]["samples"] == 2
    assert manifest["splits"]["train"]["broken"][0]["name"] == "allensville/point_2_view_1"


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA"])
def test_other_numbers_of_channels_that_are_published(tmp_path: Path, mode: str) -> None:
    truth = write_taskonomy(tmp_path, ["allensville"], views=[(0, 0)])["allensville/point_0_view_0"]
    item = reader().find(tmp_path, "train")[0]
    role, domain = ("reshading", "reshading") if mode == "L" else ("principal_curvature", "curvature")
    alpha = np.zeros((*SIZE, 1), np.uint8)
    arrays = {"L": truth[domain][..., 0], "LA": truth[domain][..., :2], "RGBA": np.dstack([truth[domain], alpha])}
    picture = Image.fromarray(arrays[mode])
    assert picture.mode == mode
    picture.save(item.paths[role])
    np.testing.assert_allclose(reader().load(item)[role], expected(truth)[role], atol=1e-6)


def test_folders_without_buildings_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no BUILDING/rgb or rgb/BUILDING folders; wanted"):
        reader().find(tmp_path, "train")
    (tmp_path / "around").symlink_to(tmp_path)
    with pytest.raises(DataError, match="no BUILDING/rgb or rgb/BUILDING folders; wanted"):
        reader().find(tmp_path, "train")
    write_taskonomy(tmp_path / "twice", ["Allensville", "allensville"], domains=["rgb"])
    with pytest.raises(DataError, match="buildings '.*' and '.*' differ only in case"):
        reader().find(tmp_path / "twice", "train")
