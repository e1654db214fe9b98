"""The conventions of normals: told by the depth, or suspected from where things lie."""

from __future__ import annotations

import numpy as np
import pytest

from tests.data.check.memory_pack import CAMERA, check, clean, corner, damaged, make_recipe
from vtadapt.data.check.check import depth_of
from vtadapt.data.check.normals import agreement, best_of, conventions, guessed_camera, leanings

FLIPS = {
    "x negated": ((0, 1, 2), (-1, 1, 1), "axis x looks flipped"),
    "y negated": ((0, 1, 2), (1, -1, 1), "axis y looks flipped"),
    "z negated": ((0, 1, 2), (1, 1, -1), "axis z looks flipped"),
    "y and z negated": ((0, 1, 2), (1, -1, -1), "axes y and z look flipped"),
    "x and y swapped": ((1, 0, 2), (1, 1, 1), "axes x and y look swapped"),
}


@pytest.mark.parametrize("done", FLIPS)
@pytest.mark.parametrize("known", [True, False])
def test_other_axes_are_named_with_the_angle(done: str, known: bool) -> None:
    order, signs, line = FLIPS[done]
    samples = damaged("normals", lambda a: a[..., list(order)] * np.array(signs, a.dtype), only=None)
    problems, warnings, _, normals = check({"train": samples}, make_recipe(intrinsics=CAMERA if known else None))
    found = [text for text in (problems if known else warnings) if text.startswith(f"normals: {line} (mean angle")]
    assert len(found) == 1
    assert f"with {done}" in found[0]
    assert ("guessed" in found[0]) == (not known)
    report = normals["normals"]
    assert (report["fits"], report["samples"]) == (done, 4)
    assert report["fits_degrees"] < (4 if known else 12) < 28 < report["degrees"]["as stored"]


def test_the_mean_angle_is_the_one_between_the_vectors() -> None:
    sample = corner(0)
    turned = sample["normals"].astype(np.float64) @ _about_x(20).T
    angles = agreement(turned, sample["depth"], make_recipe().intrinsics).angles  # type: ignore[arg-type]
    share = float((sample["normals"][..., 0] == 0).mean())  # the left wall's normal is the axis of turning
    np.testing.assert_allclose(angles[0], 20 * share, atol=4)
    assert best_of(angles) == 0


def _about_x(degrees: float) -> np.ndarray:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


def test_another_frame_is_a_warning_and_single_samples_are_named() -> None:
    turned = damaged("normals", lambda a: (a.astype(np.float64) @ _about_x(55).T).astype(np.float16), only=None)
    _, warnings, *_ = check({"train": turned}, make_recipe())
    assert any("no flip or swap of axes explains" in line for line in warnings)
    one = damaged("normals", lambda a: a * np.array([1, -1, 1], a.dtype), only=2)
    problems, warnings, *_ = check({"train": one}, make_recipe())
    assert problems == []
    assert any("1 of 4 samples looked at have other axes than their depth, first: s2" in line for line in warnings)


def test_flips_without_depth_are_suspected_from_where_things_lie() -> None:
    recipe = make_recipe(tasks={"normals": {"kind": "unit_vector"}}, intrinsics=None)
    strip = lambda samples: {n: {k: s[k] for k in ("image", "normals")} for n, s in samples.items()}  # noqa: E731
    assert check({"train": strip(clean())}, recipe)[:2] == ([], [])
    flipped = strip(damaged("normals", lambda a: a * np.array([1, -1, 1], a.dtype), only=None))
    _, warnings, *_ = check({"train": flipped}, recipe)
    assert any("the lower part faces down" in line and "is axis y flipped?" in line for line in warnings)
    assert leanings(corner(0)["normals"].astype(np.float32))[1] > 0.3


def test_the_48_conventions_are_all_different_and_ours_is_first() -> None:
    vector = np.array([1.0, 2.0, 3.0])
    images = {tuple(np.array(c.signs) * vector[list(c.order)]) for c in conventions()}
    assert (len(images), conventions()[0].words) == (48, "as stored")
    assert len({c.words for c in conventions()}) >= 32


def test_the_depth_that_vectors_are_compared_with() -> None:
    tasks = {
        "far": {"kind": "regression", "units": "m"},
        "depth": {"kind": "regression", "units": "m"},
        "normals": {
            "kind": "unit_vector",
            "derived": True,
            "derive": {"method": "plane_fit", "source": "depth"},
        },
        "given": {"kind": "unit_vector"},
    }
    recipe = make_recipe(tasks=tasks)
    assert depth_of(recipe, list(tasks), "normals") == "depth"
    assert depth_of(recipe, list(tasks), "given") == "far"
    assert depth_of(recipe, ["given"], "given") is None


def test_a_guessed_camera_sees_60_degrees() -> None:
    camera = guessed_camera(60, 80)
    assert np.degrees(2 * np.arctan(40 / camera.fx)) == pytest.approx(60)
    assert (camera.cx, camera.cy) == (39.5, 29.5)
