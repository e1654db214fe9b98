"""Rooms: shapes, exactness of labels, determinism, and that colour gives no class away."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree

from tests.synthetic.shapes import shapes_of, wanted_shapes
from vtadapt.synthetic.rooms.catalogue import KIND_CLASS, KINDS
from vtadapt.synthetic.rooms.rooms import CLASSES, COLOURS, generate_rooms, render_room

SMALL = (48, 48)
MANY = 64


@pytest.fixture(scope="module")
def rooms() -> list[dict[str, np.ndarray]]:
    return list(generate_rooms(range(MANY), SMALL, extras=True))


def test_tables_match() -> None:
    assert len(CLASSES) == len(COLOURS) == len(set(COLOURS)) == 13
    assert len(KINDS) == len(set(KINDS)) == len(KIND_CLASS) and set(KIND_CLASS) == set(range(13))


def test_shapes_types_and_ranges() -> None:
    room = render_room(5, (40, 56))
    assert shapes_of(room) == wanted_shapes(40, 56)
    more = render_room(5, (40, 56), extras=True)
    assert all(np.array_equal(room[key], more[key]) for key in room)
    assert {key: (value.shape, value.dtype.name) for key, value in more.items() if key not in room} == {
        "albedo": ((40, 56, 3), "uint8"),
        "shading": ((40, 56), "float16"),
        "height": ((40, 56), "float32"),
        "instance": ((40, 56), "uint16"),
        "part": ((40, 56), "uint16"),
        "kind": ((40, 56), "uint8"),
        "borders": ((40, 56), "uint8"),
        "reshading": ((40, 56), "float32"),
    }


def test_values_are_those_of_a_closed_room(rooms: list[dict[str, np.ndarray]]) -> None:
    for room in rooms:
        assert room["semseg"].max() < 13 and room["edges"].max() == 1
        assert room["depth"].min() > 0.1 and room["depth"].max() < 12
        assert np.isfinite(room["shading"]).all() and room["shading"].min() >= 0
        assert room["height"].min() > -0.05 and room["height"].max() < 5
        assert np.array_equal(np.array(KIND_CLASS)[room["kind"]], room["semseg"])
        normals = room["normals"].astype(np.float32)
        np.testing.assert_allclose(np.linalg.norm(normals, axis=-1), 1, atol=2e-3)
        assert 60 < room["image"].mean() < 200 and room["image"].std() > 10


def test_every_class_occurs_and_views_are_furnished(rooms: list[dict[str, np.ndarray]]) -> None:
    labels = np.stack([room["semseg"] for room in rooms])
    share = np.bincount(labels.ravel(), minlength=13) / labels.size
    assert share.min() > 0.007, dict(zip(CLASSES, share.round(4), strict=True))
    bare = np.isin(labels, [CLASSES.index(name) for name in ("ceiling", "floor", "wall")]).mean(axis=(1, 2))
    assert (bare > 0.8).mean() < 0.1
    lines = np.stack([room["edges"] for room in rooms]).mean()
    assert 0.03 < lines < 0.35


def test_normals_agree_with_depth(rooms: list[dict[str, np.ndarray]]) -> None:
    """On a plane n . X = d, so 1 / z is affine in pixels x, y from the middle: its slopes are n_x / (f d), n_y / (f d).

    Hence n is proportional to (f g_x, f g_y, 1 / z - x g_x - y g_y). The focal length f of a room is not part of the
    sample: the one that fits best is taken, between the fields of view the generator draws from.
    """
    checked = 0
    for room in rooms[:24]:
        flat = np.isin(room["semseg"], [CLASSES.index("floor"), CLASSES.index("wall")])
        part, inverse = room["part"], 1 / room["depth"].astype(np.float64)
        same = (part[1:-1, 1:-1] == part[1:-1, :-2]) & (part[1:-1, 1:-1] == part[1:-1, 2:])
        same &= (part[1:-1, 1:-1] == part[:-2, 1:-1]) & (part[1:-1, 1:-1] == part[2:, 1:-1]) & flat[1:-1, 1:-1]
        normals = room["normals"].astype(np.float64)
        normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
        for sy, sx in ((0, -1), (0, 1), (-1, 0), (1, 0)):
            shifted = normals[1 + sy : normals.shape[0] - 1 + sy, 1 + sx : normals.shape[1] - 1 + sx]
            same &= (shifted * normals[1:-1, 1:-1]).sum(-1) > 0.999
        gx = (inverse[1:-1, 2:] - inverse[1:-1, :-2])[same] / 2
        gy = (inverse[2:, 1:-1] - inverse[:-2, 1:-1])[same] / 2
        rows, columns = np.nonzero(same)
        x, y = columns + 1.5 - SMALL[1] / 2, rows + 1.5 - SMALL[0] / 2
        n = normals[1:-1, 1:-1][same]
        away = inverse[1:-1, 1:-1][same] - x * gx - y * gy
        angles = []
        for focal in SMALL[1] / 2 / np.tan(np.radians(np.linspace(49, 76, 541)) / 2):
            got = np.stack([focal * gx, focal * gy, away], axis=-1)
            got *= -1 / np.linalg.norm(got, axis=-1, keepdims=True)
            got *= np.sign((got * n).sum(-1, keepdims=True))
            angles.append(np.degrees(2 * np.arcsin(np.minimum(np.linalg.norm(got - n, axis=-1) / 2, 1))))
        best = min(angles, key=lambda values: float(np.mean(values)))
        assert np.quantile(best, 0.99) < 0.5
        checked += len(best)
    assert checked > 5000


def test_same_seed_same_bytes_whatever_the_workers(rooms: list[dict[str, np.ndarray]]) -> None:
    again = render_room(3, SMALL, extras=True)
    assert all(np.array_equal(again[key], rooms[3][key]) for key in again)
    assert not np.array_equal(rooms[3]["image"], rooms[4]["image"])
    pooled = list(generate_rooms(range(2, 20), SMALL, extras=True, workers=2))
    assert len(pooled) == 18
    for got, want in zip(pooled, rooms[2:20], strict=True):
        assert all(got[key].tobytes() == want[key].tobytes() for key in want)


def test_colour_does_not_give_the_class_away(rooms: list[dict[str, np.ndarray]]) -> None:
    """Nearest neighbours on RGB, trained on other rooms, hardly beat always saying the commonest class."""
    rng = np.random.default_rng(0)
    colour = np.stack([room["image"] for room in rooms]).reshape(MANY, -1, 3).astype(np.float32)
    label = np.stack([room["semseg"] for room in rooms]).reshape(MANY, -1)
    pick = rng.permutation(label.shape[1])[:400]
    half = MANY // 2
    seen, known = colour[:half, pick].reshape(-1, 3), label[:half, pick].ravel()
    asked, truth = colour[half:, pick].reshape(-1, 3), label[half:, pick].ravel()
    near = cKDTree(seen).query(asked, k=25)[1]
    votes = np.stack([(known[near] == c).sum(axis=1) for c in range(13)], axis=1)
    majority = np.bincount(truth, minlength=13).max() / len(truth)
    assert (votes.argmax(axis=1) == truth).mean() < majority + 0.06
    # Balanced: each class counts the same, chance is 1 / 13.
    prior = np.bincount(known, minlength=13) / len(known)
    balanced = (votes / prior).argmax(axis=1)
    recall = [(balanced[truth == c] == c).mean() for c in range(13)]
    assert np.mean(recall) < 0.2


def test_borders_lie_between_things_and_a_lamp_at_the_camera_lights_what_faces_it(
    rooms: list[dict[str, np.ndarray]],
) -> None:
    for room in rooms[:4]:
        instance, marked = room["instance"].astype(int), room["borders"] == 1
        across, down = instance[:, 1:] != instance[:, :-1], instance[1:] != instance[:-1]
        beside = np.zeros_like(marked)
        beside[:, 1:] |= across
        beside[:, :-1] |= across
        beside[1:] |= down
        beside[:-1] |= down
        assert not (marked & ~beside).any()
        assert ((marked[:, 1:] | marked[:, :-1])[across]).all() and ((marked[1:] | marked[:-1])[down]).all()
        centre = tuple(side // 2 for side in instance.shape)
        towards = -room["normals"][centre][2]  # in the middle of the picture the ray is the viewing axis, nearly
        assert room["reshading"][centre] == pytest.approx(max(0.0, float(towards)), abs=0.05)
        assert room["reshading"].min() >= 0 and room["reshading"].max() <= 1
