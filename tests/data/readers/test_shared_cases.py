"""Inputs that once failed, where they lie beside us: each gives the right value, or one line that names what is odd."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from tests.data.formats.own import prepared
from vtadapt.errors import VtadaptError

Read = Callable[[Path], np.ndarray]
NAMES = [f"im{i}" for i in range(4)]


def _pillow(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def _missing_beyond(path: Path) -> np.ndarray:
    depth = np.load(path)
    assert (depth == np.float32(65.535)).any()
    return np.where(depth == np.float32(65.535), 0, depth)


def _above_half(path: Path) -> np.ndarray:
    strengths = np.load(path)
    assert np.isnan(strengths).any()
    return np.where(np.isnan(strengths), np.nan, strengths > 0.5)


RIGHT: dict[str, tuple[str, str, Read, list[str]]] = {
    "a1_appledouble": ("semseg", "labels/{}.png", _pillow, NAMES),
    "a2_ipynb": ("semseg", "labels/{}.png", _pillow, [f"im{i}" for i in range(6)]),
    "b1b_grey2_ids03": ("semseg", "labels/{}.png", lambda path: _pillow(path) // 85, NAMES),  # which Pillow widens
    "b7_300classes_plain": ("semseg", "labels/{}.png", lambda path: cv2.imread(str(path), -1), NAMES),
    "c3_tiff_float": ("depth", "depth/{}.tif", tifffile.imread, NAMES),
    "c4d_missing_float32": ("depth", "depth/{}.npy", _missing_beyond, NAMES),
    "c8_edge_1bit": ("edges", "e/{}.png", _pillow, NAMES),
    "c8b_edge_01": ("edges", "e/{}.png", _pillow, NAMES),
    "c8c_edge_int64npy": ("edges", "e/{}.npy", np.load, NAMES),
    "c8g_edge_thr_nan": ("edges", "e/{}.npy", _above_half, NAMES),
    "m1_markup": ("semseg", "labels/{}.png", _pillow, NAMES),
}
"""Folder -> task, its files, an independent way to read them, and the samples that are data."""

REFUSED = {
    "b5c_jpeg_silent": r"labels/im\d\.jpg: JPEG",
    "f2_dupkeys": r"mine\.yaml: .*key 1 stands twice, in lines 12 and 12",
    "j_stem": r"labels/x\.png: .*images/a/x\.jpg and .*images/b/x\.jpg",
    "q2_mask": r"im1_mask\.png: the label 'semseg' of im1\.png",
}
"""Folder -> what the one line names."""


@pytest.fixture
def cases(shared_data: Path) -> Path:
    """The folder of the inputs, beside that of the real sample sets."""
    folder = shared_data.parent / "cases"
    if not folder.is_dir():
        pytest.skip(f"no inputs that once failed at {folder}")
    return folder


def _copied(cases: Path, name: str, to: Path) -> Path:
    if not (cases / name / "mine.yaml").is_file():
        pytest.skip(f"no {name} among the inputs that once failed")
    return Path(shutil.copytree(cases / name, to / name, symlinks=True))


@pytest.mark.parametrize("name", RIGHT)
def test_right_values(cases: Path, tmp_path: Path, name: str) -> None:
    folder = _copied(cases, name, tmp_path)
    task, files, read, names = RIGHT[name]
    _, held = prepared(folder / "mine.yaml", folder / "src", tmp_path / "data")
    assert sorted(held) == names
    for sample, labels in held.items():
        wanted = read(folder / "src" / files.format(sample)).astype(np.float64)
        found = labels[task].astype(np.float64)
        if task == "edges":  # stored as 0, 1 and 255 = missing, or as strengths of 0 to 1 with NaN
            found = np.where(found == 255, np.nan, found)
        np.testing.assert_array_equal(found, wanted)
        assert np.unique(wanted[np.isfinite(wanted)]).size > 1


@pytest.mark.parametrize("name", REFUSED)
def test_refused_in_one_line(cases: Path, tmp_path: Path, name: str) -> None:
    folder = _copied(cases, name, tmp_path)
    with pytest.raises(VtadaptError) as caught:
        prepared(folder / "mine.yaml", folder / "src", tmp_path / "data")
    assert "\n" not in str(caught.value)
    assert re.search(REFUSED[name], str(caught.value))


def test_a_linked_folder_is_followed_or_named(cases: Path, tmp_path: Path) -> None:
    folder = _copied(cases, "a3_symlink", tmp_path)
    manifest, held = prepared(folder / "mine.yaml", folder / "src", tmp_path / "data")
    if (folder / "src" / "images" / "seqB").is_dir():
        assert any(name.startswith("seqB/") for name in held)
    else:  # the link was stored as a text, as git does where links are not allowed
        assert sorted(held) == NAMES
        [line] = manifest["passed_over"]
        assert str(folder / "src" / "images" / "seqB") in line


def test_all_others_end_with_a_pack_or_one_line(cases: Path, tmp_path: Path) -> None:
    others = {path.parent.name for path in cases.glob("*/mine.yaml")} - {*RIGHT, *REFUSED, "a3_symlink"}
    for name in sorted(others):
        folder = _copied(cases, name, tmp_path)
        try:
            _, held = prepared(folder / "mine.yaml", folder / "src", tmp_path / f"data of {name}")
            assert held
        except VtadaptError as error:
            assert "\n" not in str(error), name
