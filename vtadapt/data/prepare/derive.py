"""Labels computed from other labels: normals and occlusion edges from depth, boundaries from classes.

They are marked ``derived`` in recipe and manifest, since their errors are those of the depth and of the method.
Pixel coordinates: column u and row v are whole at pixel centres; the ray of a pixel is ((u - cx)/fx, (v - cy)/fy, 1).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from vtadapt.data.recipe.camera import Intrinsics
from vtadapt.tasks.class_ids import VOID
from vtadapt.tasks.kinds.boundary import HARD
from vtadapt.tasks.nearest import nearest_index

Float = NDArray[np.float32]
GUARD = 0.05  # relative difference in inverse depth beyond which a neighbour belongs to another surface
MIN_SUPPORT = 0.3  # share of the window that must be measured and on the same surface
MIN_LENGTH = 6  # boundaries of fewer connected pixels are noise of the sensor
CREASE_REACH = 2  # pixels to either side at which normals are compared for a fold
GAP = 0.03  # widest hole (share of the image's width) that a depth jump may hide in


def normals_from_depth(depth: Float, camera: Intrinsics, window: int = 7, size: tuple[int, int] | None = None) -> Float:
    """Surface normals from z-depth, by fitting a plane around each pixel.

    A plane n . X = d seen by a pinhole camera has an inverse depth that is linear in the ray: 1/z = (n . ray) / d. So a
    linear least squares fit of 1/z over the window gives n directly; it is exact on planes, and it fits the noise of
    stereo and Kinect sensors, which is about even in 1/z. Neighbours whose 1/z differs by more than 5 % from the
    centre's are left out; a second fit weighs the rest by their distance from the first (Tukey's biweight, 3 rms).

    With ``size`` the fit still sees all pixels of ``depth`` but is done only at the pixels that a nearest resize keeps:
    more accurate than normals of the resized depth (the noise of all pixels is averaged) or than a resize of normals.

    Args:
        depth: (H, W) z-depth in metres, 0 = missing.
        camera: of an image of H x W.
        window: radius of the fit in pixels of ``depth``.
        size: (height, width) of the result; default H x W.

    Returns:
        (h, w, 3) float32 unit vectors towards the camera, +x right, +y down, +z away; zeros where the depth is missing
        or too little of the window lies on the same surface.
    """
    height, width = depth.shape
    rows, columns = nearest_index((size or depth.shape)[0], height), nearest_index((size or depth.shape)[1], width)
    inverse = np.divide(1, depth, out=np.zeros(depth.shape, np.float32), where=depth > 0)
    padded = np.pad(inverse, window)
    centre = inverse[np.ix_(rows, columns)]
    scale = np.divide(1, centre, out=np.zeros_like(centre), where=centre > 0)
    step = max(1, window // 4)
    offsets = np.arange(-(window // step) * step, window + 1, step)

    def ratios(dy: int, dx: int) -> Float:
        """Inverse depth of the neighbour over the centre's, minus 1; -1 where the neighbour is missing."""
        result: Float = padded[np.ix_(rows + window + dy, columns + window + dx)] * scale - 1
        return result

    plane = np.zeros((3, *centre.shape), np.float32)
    limit = np.full(centre.shape, np.inf, np.float32)
    for _ in range(2):
        plane, limit, support = _fit(ratios, offsets, window, (plane, limit))
    slope_x, slope_y, level = plane[0] / window * camera.fx, plane[1] / window * camera.fy, 1 + plane[2]
    ray_x = ((columns - camera.cx) / camera.fx).astype(np.float32)[None, :]
    ray_y = ((rows - camera.cy) / camera.fy).astype(np.float32)[:, None]
    # (slope_x, slope_y, .) . ray = level > 0, so minus it faces the camera.
    normal = -np.stack([slope_x, slope_y, level - slope_x * ray_x - slope_y * ray_y], axis=-1)
    length = np.linalg.norm(normal, axis=-1)
    known = (centre > 0) & (support >= MIN_SUPPORT) & (length > 0) & (level > 0) & np.isfinite(length)
    result: Float = np.where(known[..., None], normal / np.where(known, length, 1)[..., None], 0).astype(np.float32)
    return result


def _fit(
    ratios: Any, offsets: NDArray[np.int64], window: int, first: tuple[Float, Float]
) -> tuple[Float, Float, Float]:
    """One weighted least squares fit r = a x + b y + c per pixel, with x, y in units of the window.

    Args:
        ratios: (dy, dx) -> (h, w) values r.
        offsets: rows and columns of the window that are used.
        window: its radius.
        first: planes (3, h, w) and limits (h, w) of the residual of the fit before; infinite limits for none.

    Returns:
        planes (3, h, w), three times the rms residual (h, w), and the share of the window that counted (h, w).
    """
    (a, b, c), limit = first
    shape = a.shape
    total, sx, sy, sxx, sxy, syy, sr, sxr, syr, srr = (np.zeros(shape, np.float32) for _ in range(10))
    counted = np.zeros(shape, np.float32)
    robust = bool(np.isfinite(limit).any())
    for dy in offsets:
        for dx in offsets:
            x, y = np.float32(dx / window), np.float32(dy / window)
            r = ratios(int(dy), int(dx))
            w = (np.abs(r) < GUARD).astype(np.float32)
            counted += w
            if robust:
                w *= np.square(np.clip(1 - np.square((r - a * x - b * y - c) / limit), 0, None))
            wr = w * r
            total += w
            sx += w * x
            sy += w * y
            sxx += w * (x * x)
            sxy += w * (x * y)
            syy += w * (y * y)
            sr += wr
            sxr += wr * x
            syr += wr * y
            srr += wr * r
    n = np.maximum(total, 1e-6)
    mx, my, mr = sx / n, sy / n, sr / n
    vxx, vxy, vyy = sxx / n - mx * mx, sxy / n - mx * my, syy / n - my * my
    vxr, vyr, vrr = sxr / n - mx * mr, syr / n - my * mr, srr / n - mr * mr
    det = vxx * vyy - vxy * vxy
    solvable = det > 1e-4
    safe = np.where(solvable, det, 1)
    slope_x, slope_y = (vxr * vyy - vyr * vxy) / safe, (vyr * vxx - vxr * vxy) / safe
    residual = np.sqrt(np.maximum(vrr - slope_x * vxr - slope_y * vyr, 0))
    plane = np.stack([slope_x, slope_y, mr - slope_x * mx - slope_y * my]).astype(np.float32)
    support = np.where(solvable, counted / len(offsets) ** 2, 0).astype(np.float32)
    return plane, np.maximum(3 * residual, 1e-4).astype(np.float32), support


def occlusion_edges(
    depth: Float, normals: Float, camera: Intrinsics, jump: float = 0.05, crease: float | None = None
) -> NDArray[np.uint8]:
    """Where one surface ends in front of another, one pixel wide, on the nearer one; optionally folds too.

    Two neighbours in a row or column (or the two sides of a hole up to 3 % of the width, as behind edges seen by a
    Kinect) are separated where the farther is off by more than ``jump``, relatively, from what the nearer's plane
    predicts, from what its own plane predicts back, and from the nearer's depth: a slanted surface is no edge. Specks
    under 6 connected pixels are dropped.

    Args:
        depth: (H, W) z-depth in metres, 0 = missing.
        normals: (H, W, 3), 0 = missing (the plane test is then left out).
        camera: of an image of H x W.
        jump: least relative difference.
        crease: least angle in degrees between the normals 2 pixels to either side, for a fold; None for no folds.

    Returns:
        (H, W) uint8: 1 edge, 0 none, 255 where the depth is missing.
    """
    rays = _rays(camera, depth.shape)
    edges = _jumps(depth, normals, rays, jump)
    edges |= _jumps(depth.T, normals.transpose(1, 0, 2), rays.transpose(1, 0, 2), jump).T
    if crease is not None:
        near_edge = ndimage.binary_dilation(edges, np.ones((3, 3), bool), iterations=CREASE_REACH)
        edges |= _creases(normals, crease) & ~near_edge
    parts, count = ndimage.label(edges, np.ones((3, 3), int))
    if count:
        lengths = np.bincount(parts.ravel())
        edges &= (lengths >= MIN_LENGTH)[parts]
    return np.where(depth > 0, edges, HARD.missing).astype(HARD.dtype)


def _rays(camera: Intrinsics, shape: tuple[int, ...]) -> Float:
    """(H, W, 3) rays through the pixel centres, z = 1."""
    v, u = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    return np.stack([(u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy, np.ones_like(u)], axis=-1)


def _jumps(depth: Float, normals: Float, rays: Float, jump: float) -> NDArray[np.bool_]:
    """Depth jumps between each measured pixel and the measured one before it in its row; True on the nearer."""
    height, width = depth.shape
    here = np.broadcast_to(np.arange(width), depth.shape)
    last = np.maximum.accumulate(np.where(depth > 0, here, -1), axis=1)
    before = np.concatenate([np.full((height, 1), -1), last[:, :-1]], axis=1)
    pair = (depth > 0) & (before >= 0) & (here - before - 1 <= max(1, round(GAP * width)))
    row, right = np.nonzero(pair)
    left = before[row, right]
    p, q = (row, left), (row, right)
    z_p, z_q = depth[p], depth[q]
    off = np.abs(z_q - z_p) / np.minimum(z_p, z_q)
    for a, b in ((p, q), (q, p)):
        facing = np.einsum("nc,nc->n", normals[a], rays[a])
        predicted = np.einsum("nc,nc->n", normals[a], rays[b])  # both negative where the plane is seen at all
        usable = (facing < -1e-3) & (predicted < -1e-3)
        z_plane = depth[a] * facing / np.where(usable, predicted, 1)
        off = np.minimum(off, np.where(usable, np.abs(depth[b] - z_plane) / np.minimum(z_p, z_q), np.inf))
    cut = off > jump
    result = np.zeros(depth.shape, bool)
    nearer = np.where(z_p < z_q, left, right)
    result[row[cut], nearer[cut]] = True
    return result


def _creases(normals: Float, degrees: float) -> NDArray[np.bool_]:
    """Folds: the normals on both sides differ by more than ``degrees``, and by more than nearby along that line."""
    known = (normals != 0).any(axis=-1)
    result = np.zeros(known.shape, bool)
    reach = CREASE_REACH
    for axis in (0, 1):
        n, k = (normals, known) if axis else (normals.transpose(1, 0, 2), known.T)
        cosine = np.einsum("hwc,hwc->hw", n[:, 2 * reach :], n[:, : -2 * reach])
        angle = np.zeros(k.shape, np.float32)
        both = k[:, 2 * reach :] & k[:, : -2 * reach] & k[:, reach:-reach]
        angle[:, reach:-reach] = np.where(both, np.degrees(np.arccos(np.clip(cosine, -1, 1))), 0)
        highest = ndimage.maximum_filter1d(angle, 2 * reach + 1, axis=1)
        first = angle > np.pad(angle, ((0, 0), (1, 0)))[:, :-1]  # of equal neighbours only the first
        fold = (angle >= degrees) & (angle == highest) & first
        result |= fold if axis else fold.T
    return result


def semantic_boundaries(labels: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Boundaries between classes, one pixel wide: a pixel whose right or lower neighbour is of another class.

    Args:
        labels: (H, W) class ids, 255 = void.

    Returns:
        (H, W) uint8: 1 boundary, 0 none, 255 in void and where the right or lower neighbour is void (what is there, and
        so whether it is a boundary, is not known).
    """
    edges = np.zeros(labels.shape, HARD.dtype)
    unknown = labels == VOID
    everything, front, back = slice(None), slice(0, -1), slice(1, None)
    for here, there in (((everything, front), (everything, back)), ((front, everything), (back, everything))):
        edges[here] |= labels[here] != labels[there]
        unknown[here] |= labels[there] == VOID
    edges[unknown] = HARD.missing
    return edges
