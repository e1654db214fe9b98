from __future__ import annotations

import numpy as np
import pytest

from vtadapt.data.prepare.derive import normals_from_depth, occlusion_edges, semantic_boundaries
from vtadapt.data.recipe.camera import Intrinsics
from vtadapt.tasks.nearest import nearest_index

CAMERA = Intrinsics(fx=150, fy=145, cx=79.0, cy=61.0, width=160, height=120)


def rays(camera: Intrinsics = CAMERA) -> np.ndarray:
    v, u = np.mgrid[: camera.height, : camera.width].astype(np.float64)
    return np.stack([(u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy, np.ones_like(u)], axis=-1)


def plane_depth(normal: np.ndarray, distance: float) -> np.ndarray:
    """z-depth of the plane n . X = -distance (n towards the camera)."""
    return (-distance / (rays() @ normal)).astype(np.float32)


def degrees(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    a, b = a.astype(np.float64), b.astype(np.float64)
    return np.degrees(2 * np.arctan2(np.linalg.norm(a - b, axis=-1), np.linalg.norm(a + b, axis=-1)))


@pytest.mark.parametrize("tilt", [(0.0, 0.0), (0.5, 0.2), (-0.6, -0.5), (0.1, -1.2)])
def test_normals_of_a_tilted_plane_are_exact(tilt: tuple[float, float]) -> None:
    normal = np.array([*tilt, -1.0])
    normal /= np.linalg.norm(normal)
    depth = plane_depth(normal, 2.0)
    depth[(depth <= 0) | (depth > 15)] = 0
    found = normals_from_depth(depth, CAMERA, window=3)
    known = (found != 0).any(-1)
    assert known.mean() > 0.9 * (depth > 0).mean()
    assert degrees(found[known], np.broadcast_to(normal, found.shape)[known]).max() < 0.5
    assert (found[known] * rays()[known]).sum(-1).max() < 0  # towards the camera


def test_normals_of_a_sphere_within_half_a_degree() -> None:
    camera = Intrinsics(fx=600, fy=600, cx=319.5, cy=239.5, width=640, height=480)
    centre, radius = np.array([0.1, -0.05, 2.0]), 0.7
    ray = rays(camera)
    b, c, a = ray @ centre, centre @ centre - radius**2, (ray**2).sum(-1)
    inside = b * b - a * c
    z = np.where(inside > 0, (b - np.sqrt(np.maximum(inside, 0))) / a, 0)
    truth = (ray * z[..., None] - centre) / radius
    found = normals_from_depth(z.astype(np.float32), camera, window=4, size=(120, 160))
    kept = np.ix_(nearest_index(120, 480), nearest_index(160, 640))
    seen_well = (z[kept] > 0) & ((truth[kept] * ray[kept]).sum(-1) / np.linalg.norm(ray[kept], axis=-1) < -0.3)
    known = (found != 0).any(-1)
    assert known[seen_well].mean() > 0.99
    error = degrees(found, truth[kept])[known & seen_well]
    assert error.max() < 0.5
    assert not known[z[kept] == 0].any()


def test_noise_is_averaged_over_all_pixels_when_the_result_is_smaller() -> None:
    """Kinect-like noise, even in 1/z: fitting at full resolution beats the normals of the resized depth."""
    camera = Intrinsics(fx=585, fy=585, cx=320, cy=240, width=640, height=480)
    normal = np.array([0.2, -0.9, -0.5])
    normal /= np.linalg.norm(normal)
    depth = -1.2 / (rays(camera) @ normal)
    depth[(depth <= 0) | (depth > 6)] = 0
    noise = np.random.default_rng(0).normal(size=depth.shape) * 0.0014
    safe = np.where(depth > 0, depth, 1)
    noisy = np.where(depth > 0, 1 / (1 / safe + noise), 0).astype(np.float32)
    size = (120, 160)
    small = noisy[np.ix_(nearest_index(120, 480), nearest_index(160, 640))]
    ours = normals_from_depth(noisy, camera, 8, size)
    other = normals_from_depth(np.ascontiguousarray(small), camera.resized(*size), 2)
    errors = [degrees(n, np.broadcast_to(normal, n.shape))[(n != 0).any(-1)].mean() for n in (ours, other)]
    assert errors[0] < 1.5
    assert errors[0] < 0.7 * errors[1]


def test_missing_depth_gives_missing_normals_and_does_not_bend_the_rest() -> None:
    normal = np.array([0.3, -0.2, -1.0]) / np.linalg.norm([0.3, -0.2, -1.0])
    depth = plane_depth(normal, 2.0)
    depth[40:60, 50:90] = 0
    found = normals_from_depth(depth, CAMERA, window=4)
    known = (found != 0).any(-1)
    assert not known[40:60, 50:90].any()
    assert known[depth > 0].mean() > 0.99
    assert degrees(found, np.broadcast_to(normal, found.shape))[known].max() < 0.5


def test_normals_do_not_mix_two_surfaces() -> None:
    depth = np.full((120, 160), 3.0, np.float32)
    depth[30:90, 60:110] = 2.0
    found = normals_from_depth(depth, CAMERA, window=4)
    known = (found != 0).any(-1)
    assert known.mean() > 0.98
    assert degrees(found, np.broadcast_to([0, 0, -1], found.shape))[known].max() < 0.5
    assert not normals_from_depth(np.zeros((20, 20), np.float32), CAMERA).any()


def test_occlusion_edges_are_one_pixel_wide_and_on_the_nearer_side() -> None:
    depth = np.full((120, 160), 3.0, np.float32)
    depth[30:90, 60:110] = 2.0
    edges = occlusion_edges(depth, normals_from_depth(depth, CAMERA, 3), CAMERA)
    outline = np.zeros_like(edges)
    outline[30:90, [60, 109]] = outline[[30, 89], 60:110] = 1
    np.testing.assert_array_equal(edges, outline)


def test_a_slanted_floor_is_no_edge_but_what_stands_on_it_is() -> None:
    normal = np.array([0.0, -1.0, -0.15]) / np.linalg.norm([0, -1, -0.15])
    depth = plane_depth(normal, 1.4)
    depth[(depth <= 0) | (depth > 6)] = 0
    floor = occlusion_edges(depth, normals_from_depth(depth, CAMERA, 3), CAMERA, jump=0.03)
    assert (floor == 1).sum() == 0
    assert ((floor == 255) == (depth == 0)).all()
    depth[70:100, 60:80] = 1.5
    both = occlusion_edges(depth, normals_from_depth(depth, CAMERA, 3), CAMERA, jump=0.03)
    assert both[75:88, 60].mean() == 1
    assert (both[:, :55] != 1).all()


def test_a_jump_behind_a_narrow_hole_is_found() -> None:
    depth = np.full((120, 160), 3.0, np.float32)
    depth[:, :80], depth[:, 80:83] = 2.0, 0
    edges = occlusion_edges(depth, normals_from_depth(depth, CAMERA, 3), CAMERA)
    assert (edges[:, 79] == 1).all()
    assert (edges[:, 80:83] == 255).all()
    assert (edges == 1).sum() == 120


def test_folds_are_found_only_when_asked_for() -> None:
    x = rays()[..., 0]
    depth = (2.0 / (1 + np.abs(x))).astype(np.float32)  # two walls that meet at 90 degrees in front of the camera
    normals = normals_from_depth(depth, CAMERA, 3)
    assert (occlusion_edges(depth, normals, CAMERA) == 1).sum() == 0
    folds = occlusion_edges(depth, normals, CAMERA, crease=40)
    rows, columns = np.nonzero(folds == 1)
    assert len(np.unique(rows)) > 110
    assert np.abs(columns - CAMERA.cx).max() <= 1.5
    assert np.bincount(rows).max() == 1


def test_semantic_boundaries() -> None:
    labels = np.zeros((5, 6), np.uint8)
    labels[:, 3:] = 1
    labels[3:, 4:] = 255
    wanted = np.zeros((5, 6), np.uint8)
    wanted[:, 2] = 1
    wanted[2, 4:] = wanted[3:, 3] = wanted[3:, 4:] = 255
    np.testing.assert_array_equal(semantic_boundaries(labels), wanted)
