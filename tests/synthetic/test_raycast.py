"""Rays, the pinhole camera and edge labels against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import trimesh

from vtadapt.synthetic.labels import edges
from vtadapt.synthetic.raycast import Camera, Caster
from vtadapt.synthetic.rooms.catalogue import ROOMS
from vtadapt.synthetic.scene import Builder, Frame
from vtadapt.synthetic.shapes import NAMES, shapes
from vtadapt.synthetic.surface import look

SIZE = (48, 64)
FOV = math.radians(60)


def level_camera() -> Camera:
    """At 1.2 m, looks along +y."""
    return Camera.looking(np.array([0, 0, 1.2], np.float32), np.array([0, 5, 1.2], np.float32), 0.0, FOV, SIZE)


def view(build: Builder):
    geometry, camera = build.finish(), level_camera()
    return camera, look(geometry, Caster(geometry.triangles), camera, *camera.centres())


def ground(build: Builder) -> None:
    build.begin("floor", Frame(0, 0))
    build.box((0, 0, -0.5), (200, 200, 1), 0)
    build.begin("wall", Frame(0, 6))
    build.box((0, 0.5, 0), (200, 1, 200), 0)


def box_ahead():
    """A cube of 1 m whose front is 2.5 m ahead of the camera, over the ground; camera and surface."""
    build = Builder(ROOMS)
    ground(build)
    build.begin("box", Frame(0, 3))
    build.box((0, 0, 1.2), (1, 1, 1), 0)
    return view(build)


def test_camera_axes_are_right_down_away() -> None:
    camera = level_camera()
    np.testing.assert_allclose(camera.axes, [[1, 0, 0], [0, 0, -1], [0, 1, 0]], atol=1e-7)
    corner = camera.directions(np.array([0.0], np.float32), np.array([24.0], np.float32))[0]
    np.testing.assert_allclose(corner, [-math.tan(FOV / 2), 0, 1], rtol=1e-6)
    assert camera.resized((96, 128)).focal == pytest.approx(2 * camera.focal)


def test_camera_roll_and_tilt_keep_axes_orthonormal() -> None:
    start, goal = np.array([1, 2, 1.5], np.float32), np.array([3, 0, 0.5], np.float32)
    camera = Camera.looking(start, goal, 0.2, FOV, SIZE)
    np.testing.assert_allclose(camera.axes @ camera.axes.T, np.eye(3), atol=1e-6)
    assert np.linalg.det(camera.axes) == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(camera.axes[2], (goal - start) / np.linalg.norm(goal - start), atol=1e-6)
    assert camera.axes[0, 2] < 0  # a positive roll turns the right side down


def test_depth_of_plane_and_box_is_exact() -> None:
    camera, surface = box_ahead()
    rays = camera.directions(*camera.centres())
    front = 2.5
    on_box = (np.abs(rays[:, :2]) * front < 0.5).all(axis=1)
    np.testing.assert_allclose(surface.depth[on_box], front, atol=1e-4)
    with np.errstate(divide="ignore"):
        floor = np.where(rays[:, 1] > 0, 1.2 / rays[:, 1], np.inf)
    expected = np.minimum(6.0, floor)
    clear = (np.abs(rays[:, 0]) * 3.5 > 0.75) | (np.abs(rays[:, 1]) * 3.5 > 0.75)
    np.testing.assert_allclose(surface.depth[clear], expected[clear], atol=1e-4)


def test_depth_of_a_fine_sphere() -> None:
    mesh = trimesh.creation.icosphere(subdivisions=6, radius=0.8)
    caster = Caster(np.asarray(mesh.triangles, np.float32) + np.array([0, 3, 1.2], np.float32))
    camera = level_camera()
    ray = camera.to_world(camera.directions(*camera.centres())).astype(np.float64)
    hits = caster.nearest(np.broadcast_to(camera.position, ray.shape), ray)
    a, b, c = (ray * ray).sum(1), -2 * 3 * ray[:, 1], 9 - 0.8**2
    inside = b * b - 4 * a * c
    centre = inside > 1.5  # away from the silhouette, where the chords of the triangles differ most
    expected = (-b[centre] - np.sqrt(inside[centre])) / (2 * a[centre])
    assert centre.sum() > 50
    np.testing.assert_allclose(hits.distance[centre], expected, atol=3e-4)
    missed = inside < -0.1
    assert np.isinf(hits.distance[missed]).all() and (hits.triangle[missed] == -1).all()


def test_occlusion_stops_at_the_limit() -> None:
    caster = Caster(np.array([[[-9, 2, -9], [9, 2, -9], [0, 2, 9]]], np.float32))
    origin, ray = np.zeros((2, 3), np.float32), np.array([[0, 1, 0], [0, -1, 0]], np.float32)
    assert caster.occluded(origin, ray, 3.0).tolist() == [True, False]
    assert caster.occluded(origin, ray, 1.0).tolist() == [False, False]
    one = np.broadcast_to(np.zeros(3, np.float32), (1, 3))
    assert caster.occluded(one, ray[:1], np.array([2.5], np.float32)).tolist() == [True]


def test_edges_follow_silhouette_and_crease_once() -> None:
    camera, surface = box_ahead()
    found = edges(surface, camera)
    assert found.dtype == np.uint8 and set(np.unique(found)) == {0, 1}
    half = 0.5 * camera.focal / 2.5
    left, right = math.ceil(32 - half - 0.5), math.floor(32 + half - 0.5)
    top, bottom = math.ceil(24 - half - 0.5), math.floor(24 + half - 0.5)
    assert found[top : bottom + 1, left].all() and found[top : bottom + 1, right].all()
    assert found[top, left : right + 1].all() and found[bottom, left : right + 1].all()
    assert found[top + 1 : bottom, left + 1 : right].sum() == 0
    # The crease between floor and wall: row 24 + f * 1.2 / 6, one pixel wide, and nothing beside it.
    column = np.flatnonzero(found[:, 2])
    assert len(column) == 1 and abs(column[0] + 0.5 - (24 + camera.focal * 0.2)) <= 1


def test_round_things_have_no_creases_inside() -> None:
    build = Builder(ROOMS)
    ground(build)
    build.begin("ball", Frame(0, 3))
    build.add("sphere", (0, 0, 1.2), (1.2, 1.2, 1.2), 0)
    camera, surface = view(build)
    found = edges(surface, camera)
    x, y = camera.centres()
    inner = np.hypot(x - 32, y - 24).reshape(SIZE) < 0.75 * 0.6 * camera.focal / 3
    assert inner.sum() > 60 and found[inner].sum() == 0 and found.sum() > 20


@pytest.mark.parametrize("name", NAMES)
def test_unit_shapes_fill_the_cube_with_unit_normals(name: str) -> None:
    shape = shapes()[NAMES.index(name)]
    points = shape.triangles.reshape(-1, 3)
    np.testing.assert_allclose(points.min(0), -0.5, atol=1e-5)
    np.testing.assert_allclose(points.max(0), 0.5, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(shape.normals, axis=-1), 1, atol=1e-5)
    assert shape.patch.max() < 64
