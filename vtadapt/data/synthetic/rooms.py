"""`rooms`: random furnished rooms with exact labels for every task, each a function of its seed alone.

Labels are taken at pixel centres. Colours and textures of all classes are drawn from one pool per room, so a class can
be told by shape, place and light, not by colour.
"""

from __future__ import annotations

import math
import multiprocessing
from collections import deque
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from vtadapt.data.synthetic import shading
from vtadapt.data.synthetic.catalogue import CLASSES, COLOURS, KIND_CLASS, KIND_ID, KINDS, STRUCTURE
from vtadapt.data.synthetic.labels import edges
from vtadapt.data.synthetic.layout import furnish
from vtadapt.data.synthetic.plan import Plan
from vtadapt.data.synthetic.props import Kit
from vtadapt.data.synthetic.raycast import Camera, Caster
from vtadapt.data.synthetic.scene import Builder, Dice, Geometry
from vtadapt.data.synthetic.surface import Surface, colours, look
from vtadapt.data.synthetic.textures import Materials, Paint

__all__ = ["CLASSES", "COLOURS", "KINDS", "KIND_CLASS", "KIND_ID", "generate_rooms", "render_room"]

Floats = npt.NDArray[np.float32]
Sample = dict[str, npt.NDArray[Any]]

_TAG = 130013
_VIEWS = 12
_GROUP = 8
_COARSE = (16, 16)
# Sample positions inside a pixel beside its centre, used where neighbouring pixels show different things.
_WITHIN = ((-0.3, -0.2), (0.2, 0.3))
# How much a view gains by showing a class on at least 3 % of its pixels.
_WORTH = dict(zip(CLASSES, (1.0, 2.5, 0.4, 1.6, 0.2, 0.8, 1.0, 1.2, 1.2, 1.3, 2.5, 0.0, 1.2), strict=True))


def render_room(seed: int, size: tuple[int, int] = (128, 128), extras: bool = False) -> Sample:
    """One room seen by one camera; `size` = (H, W). The same seed and size give the same bytes.

    Returns image uint8 (H, W, 3); semseg uint8 (H, W), 0..12; depth float32 (H, W), z-depth in metres; normals
    float16 (H, W, 3), unit, camera axes (+x right, +y down, +z away); edges uint8 (H, W), 0 or 1.
    With `extras` also albedo uint8 (H, W, 3), sRGB; shading float16 (H, W), exposed irradiance; height float32 (H, W),
    metres above the floor; instance uint16 (H, W); part uint16 (H, W); kind uint8 (H, W), index into KINDS.
    """
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([_TAG, seed])))
    dice = Dice(rng)
    kit = Kit(Builder(), dice, Paint(rng, dice))
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
    light = _Light(geometry, caster, camera, materials, lighting, rng)
    pictures = light.image(surface, lines)
    sample["image"] = pictures["image"]
    if extras:
        sample["albedo"], sample["shading"] = pictures["albedo"], pictures["shading"]
    return sample


class _Light:
    """Turns surfaces of one room into colours."""

    def __init__(
        self,
        geometry: Geometry,
        caster: Caster,
        camera: Camera,
        materials: Materials,
        lighting: shading.Lighting,
        rng: np.random.Generator,
    ) -> None:
        self.geometry, self.caster, self.camera = geometry, caster, camera
        self.materials, self.lighting, self.rng = materials, lighting, rng

    def image(self, surface: Surface, lines: npt.NDArray[np.uint8]) -> Sample:
        """The image of the samples at pixel centres, smoothed where parts meet; albedo; shading."""
        size = self.camera.size
        rows, columns = np.divmod(np.arange(size[0] * size[1], dtype=np.int32), np.int32(size[1]))
        seen = shading.visibility(surface, self.caster, self.lighting, rows % 4 * 4 + columns % 4, self.rng)
        seen = shading.smooth_along_surfaces(seen, surface, size)
        colour, albedo, incoming = self._colour(surface, seen)
        scale = np.float32(shading.exposure(colour, self.rng.uniform(0.13, 0.3)))
        self._antialias(colour, surface, lines)
        image = shading.develop((colour * scale).reshape(*size, 3), self.camera, self.rng)
        luminance = incoming @ np.array([0.2126, 0.7152, 0.0722], np.float32)
        return {
            "image": image,
            "albedo": (albedo ** np.float32(1 / 2.2) * 255 + np.float32(0.5)).astype(np.uint8).reshape(*size, 3),
            "shading": np.minimum(luminance * scale, 100).astype(np.float16).reshape(size),
        }

    def _colour(self, surface: Surface, seen: Floats) -> tuple[Floats, Floats, Floats]:
        """Linear colour, albedo and irradiance (N, 3)."""
        albedo = colours(surface, self.geometry, self.materials, self.camera.focal)
        material = self.geometry.material[surface.part]
        incoming, shine = shading.irradiance(surface, self.lighting, seen, self.materials.gloss[material])
        glow = self.materials.glow[material][:, None]
        return albedo * (incoming + glow * np.float32(2)) + shine, albedo, incoming

    def _antialias(self, colour: Floats, surface: Surface, lines: npt.NDArray[np.uint8]) -> None:
        """Averages further samples into the pixels whose right or lower neighbour shows another part."""
        part = surface.part.reshape(self.camera.size)
        mixed = lines > 0
        across, down = part[:, 1:] != part[:, :-1], part[1:] != part[:-1]
        mixed[:, 1:] |= across
        mixed[:, :-1] |= across
        mixed[1:] |= down
        mixed[:-1] |= down
        pixels = np.flatnonzero(mixed)
        if len(pixels) == 0:
            return
        height, width = self.camera.size
        rows, columns = np.divmod(pixels, width)
        total = colour[pixels]
        for dx, dy in _WITHIN:
            x, y = (columns + (0.5 + dx)).astype(np.float32), (rows + (0.5 + dy)).astype(np.float32)
            ray = self.camera.to_world(self.camera.directions(x, y))
            hits = self.caster.nearest(np.broadcast_to(self.camera.position, ray.shape), ray)
            patch = self.geometry.patch[np.maximum(hits.triangle, 0)]
            beside_x = np.clip(columns + (1 if dx > 0 else -1), 0, width - 1)
            beside_y = np.clip(rows + (1 if dy > 0 else -1), 0, height - 1)
            # Most samples see a face that this pixel's centre or a neighbour's sees too: they take its colour.
            source = np.full(len(pixels), -1)
            for at in (beside_y * width + beside_x, beside_y * width + columns, rows * width + beside_x, pixels):
                source = np.where(surface.patch[at] == patch, at, source)
            added = colour[source]
            new = np.flatnonzero(source < 0)
            if len(new):
                more = look(self.geometry, self.caster, self.camera, x[new], y[new])
                seen = shading.visibility(
                    more, self.caster, self.lighting, np.arange(len(new), dtype=np.int32) % 16, self.rng
                )
                added[new] = self._colour(more, seen)[0]
            total += added
        colour[pixels] = total / np.float32(1 + len(_WITHIN))


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
    if workers <= 0:
        for seed in seeds:
            yield render_room(seed, size, extras)
        return
    make = partial(_render_all, size=size, extras=extras)
    groups = iter(partial(_take, iter(seeds), _GROUP), [])
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        # Only a few groups are under way at a time: a slow consumer must not let finished rooms pile up.
        waiting = deque(pool.apply_async(make, (group,)) for group in islice(groups, 2 * workers))
        while waiting:
            done = waiting.popleft().get()
            waiting.extend(pool.apply_async(make, (group,)) for group in islice(groups, 1))
            yield from done


def _take(seeds: Iterator[int], count: int) -> list[int]:
    return list(islice(seeds, count))


def _render_all(seeds: list[int], size: tuple[int, int], extras: bool) -> list[Sample]:
    return [render_room(seed, size, extras) for seed in seeds]
