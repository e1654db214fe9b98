"""`rooms`: random furnished rooms with exact labels for every task, each a function of its seed alone.

Labels are taken at pixel centres. Colours and textures of all classes are drawn from one pool per room, so a class can
be told by shape, place and light, not by colour.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from functools import partial

import numpy as np
import numpy.typing as npt

from vtadapt.synthetic.labels import borders, edges, reshading
from vtadapt.synthetic.painter import Painter
from vtadapt.synthetic.pool import Sample, render_many
from vtadapt.synthetic.props import Kit
from vtadapt.synthetic.raycast import Camera, Caster
from vtadapt.synthetic.rooms.catalogue import CLASSES, COLOURS, KIND_CLASS, KIND_ID, KINDS, ROOMS, STRUCTURE
from vtadapt.synthetic.rooms.layout import furnish
from vtadapt.synthetic.rooms.plan import Plan
from vtadapt.synthetic.scene import Builder, Dice, Geometry
from vtadapt.synthetic.surface import look
from vtadapt.synthetic.textures import Paint

__all__ = ["CLASSES", "COLOURS", "KINDS", "KIND_CLASS", "KIND_ID", "generate_rooms", "render_room"]

Floats = npt.NDArray[np.float32]

_TAG = 130013
_VIEWS = 12
_COARSE = (16, 16)
# How much a view gains by showing a class on at least 3 % of its pixels.
_WORTH = dict(zip(CLASSES, (1.0, 2.5, 0.4, 1.6, 0.2, 0.8, 1.0, 1.2, 1.2, 1.3, 2.5, 0.0, 1.2), strict=True))


def render_room(seed: int, size: tuple[int, int] = (128, 128), extras: bool = False) -> Sample:
    """One room seen by one camera; `size` = (H, W). The same seed and size give the same bytes.

    Returns image uint8 (H, W, 3); semseg uint8 (H, W), 0..12; depth float32 (H, W), z-depth in metres; normals
    float16 (H, W, 3), unit, camera axes (+x right, +y down, +z away); edges uint8 (H, W), 0 or 1.
    With `extras` also albedo uint8 (H, W, 3), sRGB; shading float16 (H, W), exposed irradiance; height float32 (H, W),
    metres above the floor; instance uint16 (H, W); part uint16 (H, W); kind uint8 (H, W), index into KINDS; borders
    uint8 (H, W), 0 or 1, where two instances meet, on the nearer one; reshading float32 (H, W), 0..1, the cosine
    between the surface and the ray that sees it.
    """
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([_TAG, seed])))
    dice = Dice(rng)
    kit = Kit(Builder(ROOMS), dice, Paint(rng, dice))
    plan, lighting = furnish(kit)
    geometry, materials = kit.build.finish(), kit.paint.materials()
    caster = Caster(geometry.triangles)
    camera = _choose_view(plan, dice, geometry, caster, size)
    surface = look(geometry, caster, camera, *camera.centres())
    lines = edges(surface, camera)
    owner = geometry.object[surface.part]
    sample: Sample = {
        "semseg": geometry.label[owner].astype(np.uint8).reshape(size),
        "depth": surface.depth.reshape(size),
        "normals": camera.to_camera(surface.normal).astype(np.float16).reshape(*size, 3),
        "edges": lines,
    }
    if extras:
        sample["height"] = surface.point[:, 2].reshape(size)
        sample["instance"] = (owner + 1).astype(np.uint16).reshape(size)
        sample["part"] = (surface.part + 1).astype(np.uint16).reshape(size)
        sample["kind"] = geometry.kind[owner].astype(np.uint8).reshape(size)
        sample["borders"] = borders(sample["instance"], sample["depth"])
        sample["reshading"] = reshading(surface).reshape(size)
    light = Painter(geometry, caster, camera, materials, lighting, rng)
    pictures = light.image(surface, lines)
    sample["image"] = pictures["image"]
    if extras:
        sample["albedo"], sample["shading"] = pictures["albedo"], pictures["shading"]
    return sample


def _choose_view(plan: Plan, dice: Dice, geometry: Geometry, caster: Caster, size: tuple[int, int]) -> Camera:
    """The best of some cameras at eye height on free floor: many classes, not too close, not mostly bare walls."""
    label = geometry.label[geometry.object]
    worth = np.array([_WORTH[name] for name in CLASSES])
    targets = geometry.origin[~np.isin(geometry.label, STRUCTURE)]
    cameras = [_view(plan, dice, targets) for _ in range(_VIEWS)]
    rays = np.concatenate([camera.to_world(camera.directions(*camera.centres())) for camera in cameras])
    starts = np.repeat(np.stack([camera.position for camera in cameras]), len(rays) // _VIEWS, axis=0)
    hits = caster.nearest(starts, rays)
    seen = label[geometry.part[np.maximum(hits.triangle, 0)]].reshape(_VIEWS, -1)
    near = np.quantile(hits.distance.reshape(_VIEWS, -1), 0.1, axis=1)
    share = np.stack([np.bincount(row, minlength=len(CLASSES)) for row in seen]) / seen.shape[1]
    bare = share[:, list(STRUCTURE)].sum(axis=1)
    score = (worth * np.minimum(share / 0.03, 1)).sum(axis=1)
    score -= (
        15 * np.maximum(bare - 0.65, 0) + 8 * np.maximum(0.9 - near, 0) + 10 * np.maximum(share.max(axis=1) - 0.5, 0)
    )
    return cameras[int(np.argmax(score))].resized(size)


def _view(plan: Plan, dice: Dice, targets: Floats) -> Camera:
    """A camera (of few pixels) that looks towards one of the things at `targets` (N, 4) and a little to the middle."""
    position = _standpoint(plan, dice)
    target = targets[dice.whole(0, len(targets) - 1)]
    x, y = 0.6 * float(target[0]) + 0.2 * plan.width, 0.6 * float(target[1]) + 0.2 * plan.depth
    if math.hypot(x - position[0], y - position[1]) < 0.8:
        x, y = plan.width / 2, plan.depth / 2
    reach = max(math.hypot(x - position[0], y - position[1]), 1.0)
    sink = min(max(dice.between(0.3, 1.3) - float(position[2]), -0.4 * reach), 0.15 * reach)
    aim = np.array([x, y, position[2] + sink], np.float32)
    return Camera.looking(position, aim, dice.between(-0.05, 0.05), math.radians(dice.between(50, 75)), _COARSE)


def _standpoint(plan: Plan, dice: Dice) -> Floats:
    """A point at 1.0..1.9 m above free floor, preferably near the walls, where the view is widest."""
    for _ in range(30):
        x, y = dice.unit(), dice.unit()
        if dice.chance(0.7):
            x, y = (
                (0.5 + (1 if x > 0.5 else -1) * (0.5 - 0.5 * abs(x - 0.5)), y)
                if dice.chance(0.5)
                else (x, 0.5 + (1 if y > 0.5 else -1) * (0.5 - 0.5 * abs(y - 0.5)))
            )
        x, y = 0.3 + x * (plan.width - 0.6), 0.3 + y * (plan.depth - 0.6)
        if plan.free((x - 0.15, y - 0.15, x + 0.15, y + 0.15)):
            break
    return np.array([x, y, dice.between(1.0, min(1.9, plan.height - 0.3))], np.float32)


def generate_rooms(
    seeds: Iterable[int], size: tuple[int, int] = (128, 128), extras: bool = False, workers: int = 0
) -> Iterator[Sample]:
    """Rooms of the seeds, in order; `workers` processes (0 = this one). The result does not depend on `workers`."""
    return render_many(partial(render_room, size=size, extras=extras), seeds, workers)
