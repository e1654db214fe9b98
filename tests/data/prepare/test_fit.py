"""Pictures of another aspect ratio than the pack's: squeezed, cropped or padded, with their labels and their camera."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from tests.data.conftest import TASKS
from vtadapt.data.prepare.convert_sample import SURROUND, process_sample
from vtadapt.data.recipe.camera import Intrinsics
from vtadapt.data.recipe.fit import Frame, change, pack_camera
from vtadapt.data.recipe.recipe import Recipe

CAMERA = Intrinsics(fx=50, fy=60, cx=39.5, cy=29.5, width=80, height=60)
FITS = ("squeeze", "crop", "pad")


def recipe(fit: str, **tasks: Any) -> Recipe:
    given = {name: task.model_dump(mode="json") for name, task in (tasks or TASKS).items()}
    content = {"name": "mine", "title": "t", "licence": "l", "reader": "folder", "fit": fit, "tasks": given}
    return Recipe.model_validate(content)


def test_frames_by_hand() -> None:
    wide = (60, 80)
    assert Frame.of("squeeze", wide, (30, 30)) == Frame(0, 0, wide, (30, 30), 0, 0, (30, 30))
    assert Frame.of("crop", wide, (30, 30)) == Frame(0, 10, (60, 60), (30, 30), 0, 0, (30, 30))
    assert Frame.of("crop", (80, 60), (30, 30)) == Frame(10, 0, (60, 60), (30, 30), 0, 0, (30, 30))
    assert Frame.of("pad", wide, (40, 40)) == Frame(0, 0, wide, (30, 40), 5, 0, (40, 40))
    assert Frame.of("pad", (80, 60), (40, 40)) == Frame(0, 0, (80, 60), (40, 30), 0, 5, (40, 40))
    assert all(Frame.of(fit, wide, (30, 40)).inner == (30, 40) for fit in FITS)
    assert (change(wide, (30, 30)), change((80, 60), (30, 30)), change(wide, (30, 40))) == (
        pytest.approx(4 / 3),
        pytest.approx(4 / 3),
        1,
    )


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("size", [(30, 30), (40, 40), (24, 60)])
def test_a_point_is_seen_where_the_camera_of_the_pack_says(fit: Any, size: tuple[int, int]) -> None:
    """A picture whose pixels are their own coordinates: its centre of mass moves as the camera's centre does."""
    rows, columns = np.mgrid[:60, :80].astype(np.float32)
    depth = 1 + rows + 1000 * columns
    frame = Frame.of(fit, (60, 80), size)
    camera = pack_camera(CAMERA, fit, *size)
    assert camera is not None
    found = process_sample(
        {"image": np.zeros((60, 80, 3), np.uint8), "depth": depth}, recipe(fit), ["depth"], size, "x"
    )["depth"]
    known = found > 0
    assert known.sum() == frame.inner[0] * frame.inner[1]
    v, u = np.nonzero(known)
    seen = found[known] - 1
    row, column = seen % 1000, seen // 1000
    # The ray of a pixel of the pack is that of the pixel of the source that it came from, to half a pixel of either.
    near_x = np.abs((u - camera.cx) / camera.fx - (column - CAMERA.cx) / CAMERA.fx)
    near_y = np.abs((v - camera.cy) / camera.fy - (row - CAMERA.cy) / CAMERA.fy)
    assert near_x.max() <= 0.51 / camera.fx + 0.51 / CAMERA.fx
    assert near_y.max() <= 0.51 / camera.fy + 0.51 / CAMERA.fy


def test_crop_and_pad_keep_the_pixels_square() -> None:
    for fit in ("crop", "pad"):
        found = pack_camera(CAMERA.model_copy(update={"fy": 50.0}), fit, 30, 30)  # type: ignore[arg-type]
        assert found is not None
        assert found.fx == pytest.approx(found.fy, rel=0.03)  # to a pixel of 22
    squeezed = pack_camera(CAMERA.model_copy(update={"fy": 50.0}), "squeeze", 30, 30)
    assert squeezed is not None
    assert squeezed.fy == pytest.approx(squeezed.fx * 4 / 3)


def test_what_is_added_has_no_label_of_any_kind() -> None:
    image = np.full((60, 80, 3), 200, np.uint8)
    normals = np.zeros((60, 80, 3), np.float32)
    normals[..., 2] = -1
    arrays = {
        "image": image,
        "semseg": np.ones((60, 80), np.uint8),
        "depth": np.full((60, 80), 2, np.float32),
        "normals": normals,
        "edges": np.ones((60, 80), np.uint8),
        "curvature": np.ones((60, 80, 2), np.float32),
    }
    found = process_sample(arrays, recipe("pad"), list(TASKS), (40, 40), "x")
    inside = np.zeros((40, 40), bool)
    inside[5:35] = True
    assert (found["image"][~inside] == SURROUND).all()
    assert (found["image"][inside] == 200).all()
    for name, task in TASKS.items():
        np.testing.assert_array_equal(task.behaviour.known(task, found[name]), inside)


def test_the_hash_of_old_recipes_stays() -> None:
    plain = recipe("squeeze")
    assert recipe("squeeze").hash == plain.hash != recipe("crop").hash


@pytest.mark.parametrize("fit", FITS)
def test_prepare_and_dry_run_say_how_many(tmp_path: Path, cli: Callable[..., Any], fit: str) -> None:
    for folder in ("train", "masks"):
        (tmp_path / "src" / folder).mkdir(parents=True)
    for number, (height, width) in enumerate([(30, 40), (30, 40), (40, 30), (30, 60)]):
        grey = np.full((height, width), 120, np.uint8)
        Image.fromarray(np.repeat(grey[..., None], 3, 2)).save(tmp_path / "src" / "train" / f"{number}.png")
        Image.fromarray(grey // 120).save(tmp_path / "src" / "masks" / f"{number}.png")
    content = {
        **{"name": "mine", "title": "t", "licence": "l", "reader": "folder", "splits": ["train"], "size": [30, 40]},
        **{"fit": fit, "tasks": {"semseg": {"kind": "classes", "classes": ["a", "b"]}}},
        "options": {"image": "{split}/*.png", "labels": {"semseg": {"files": "masks/{stem}.png"}}},
    }
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    asked = ("prepare-data", tmp_path / "mine.yaml", "--source", tmp_path / "src", "--workers", 0)
    looked = cli(*asked, "--dry-run")
    assert looked.code == 0, looked.err
    made = cli(*asked, "--data-dir", tmp_path / "data")
    assert made.code == 0, made.err
    worst = {"squeeze": "1.78", "crop": "44 %", "pad": "44 %"}[fit]  # 30x40 from 40x30: 16/9
    for out in (looked.out, made.out):
        words = " ".join(out.split())
        assert "2 of 4" in words
        assert worst in words
