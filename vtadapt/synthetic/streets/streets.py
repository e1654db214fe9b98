"""`streets`: random streets in two looks with exact labels for every task, each a function of its seed and look alone.

What stands where is drawn from the seed, how it looks and where the camera is from seed and look: the same seed in both
looks is the same street. Labels are taken at pixel centres. Colours and textures of all classes but the sky are drawn
from one pool per street, so a class can be told by shape, place and light, not by colour.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from functools import partial

import numpy as np

from vtadapt.synthetic.labels import edges
from vtadapt.synthetic.pool import Sample, render_many
from vtadapt.synthetic.props import Kit
from vtadapt.synthetic.raycast import Camera, Caster
from vtadapt.synthetic.scene import Builder, Dice
from vtadapt.synthetic.streets.catalogue import CLASSES, COLOURS, STREETS
from vtadapt.synthetic.streets.detail import facing, simplified
from vtadapt.synthetic.streets.layout import build_street
from vtadapt.synthetic.streets.looks import LOOKS, Look
from vtadapt.synthetic.streets.painter import StreetPainter, weather
from vtadapt.synthetic.streets.plan import Street
from vtadapt.synthetic.surface import look as cast
from vtadapt.synthetic.textures import Paint

__all__ = ["CLASSES", "COLOURS", "LOOKS", "generate_streets", "render_street"]

SIZE = (96, 192)
_TAG = 160016


def render_street(seed: int, look: str, size: tuple[int, int] = SIZE, extras: bool = False) -> Sample:
    """One street seen by one camera; `look` is a key of `LOOKS`, `size` = (H, W). The same arguments, the same bytes.

    Returns image uint8 (H, W, 3); semseg uint8 (H, W), 0..15; depth float32 (H, W), z-depth in metres, 0 = sky;
    normals float16 (H, W, 3), unit, camera axes (+x right, +y down, +z away), zeros = sky; edges uint8 (H, W), 0 or 1.
    With `extras` also height float32 (H, W), metres above the road; kind uint8 (H, W), index into STREETS.kinds;
    instance uint16 (H, W).
    """
    style = LOOKS[look]
    plan = Dice(_random(seed, 0))
    dice = Dice(_random(seed, 1 + list(LOOKS).index(look)))
    kit = Kit(Builder(STREETS), plan, Paint(dice.rng, dice, style.palette))
    street = build_street(kit)
    camera = _camera(street, style, dice, size)
    air = weather(style, dice)
    geometry = facing(kit.build.finish(partial(simplified, camera=camera)), camera)
    materials = kit.paint.materials()
    caster = Caster(geometry.triangles)
    painter = StreetPainter((geometry, caster, camera, materials), air, style, dice)
    surface = cast(geometry, caster, camera, *camera.centres(), painter.FAR)
    lines = edges(surface, camera)
    owner, outside = geometry.object[surface.part], painter.outside(surface)
    normals = camera.to_camera(surface.normal)
    normals[outside] = 0
    sample: Sample = {
        "image": painter.image(surface, lines)["image"],
        "semseg": geometry.label[owner].astype(np.uint8).reshape(size),
        "depth": np.where(outside, np.float32(0), surface.depth).reshape(size),
        "normals": normals.astype(np.float16).reshape(*size, 3),
        "edges": lines,
    }
    if extras:
        sample["height"] = surface.point[:, 2].reshape(size)
        sample["kind"] = geometry.kind[owner].astype(np.uint8).reshape(size)
        sample["instance"] = (owner + 1).astype(np.uint16).reshape(size)
    return sample


def _random(seed: int, stream: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([_TAG, seed, stream])))


def _camera(street: Street, look: Look, dice: Dice, size: tuple[int, int]) -> Camera:
    """In the innermost right-hand lane, looking along the street as the look's camera does."""
    x = street.lane_x(1, 0) + dice.between(-0.4, 0.4)
    position = np.array([x, 0.0, dice.between(*look.height)], np.float32)
    yaw, pitch = (math.radians(a) for a in (dice.between(-look.yaw, look.yaw), dice.between(*look.pitch)))
    aim = position + np.array([math.sin(yaw), math.cos(yaw), -math.tan(pitch)], np.float32) * np.float32(20)
    roll = math.radians(dice.between(-look.roll, look.roll))
    return Camera.looking(position, aim, roll, math.radians(look.fov), size)


def generate_streets(
    seeds: Iterable[int], look: str, size: tuple[int, int] = SIZE, extras: bool = False, workers: int = 0
) -> Iterator[Sample]:
    """Streets of the seeds, in order; `workers` processes (0 = this one). The result does not depend on `workers`."""
    return render_many(partial(render_street, look=look, size=size, extras=extras), seeds, workers)
