"""Light and air in the open: sun, sky, dirt, haze, and the response of the camera of a look."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vtadapt.synthetic.painter import Painter
from vtadapt.synthetic.raycast import Camera, Caster
from vtadapt.synthetic.scene import Dice, Geometry
from vtadapt.synthetic.shading import Light, Lighting, exposure
from vtadapt.synthetic.streets.catalogue import CLASSES
from vtadapt.synthetic.streets.looks import Look
from vtadapt.synthetic.surface import Surface
from vtadapt.synthetic.textures import SIDE, Materials, texels

Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]

_SUN = 1200.0  # metres to the lamp that stands for the sun: inside the sky's sphere
_CLOUD, _DIRT = 5, 17  # patterns of irregular noise in the bank of textures
SKY = CLASSES.index("sky")
_LUMINANCE = np.array([0.2126, 0.7152, 0.0722], np.float32)


@dataclass(frozen=True)
class Weather:
    """One draw from a look's ranges; colours in linear light."""

    lighting: Lighting
    sun: Floats  # (3,) unit, towards the sun
    glare: Floats  # (3,) colour of the sky next to the sun
    zenith: Floats
    horizon: Floats
    clouds: float
    drift: tuple[float, float]
    haze: float
    stains: float


def weather(look: Look, dice: Dice) -> Weather:
    """Draws sun, sky and air."""
    power, ambient = dice.between(*look.sun), dice.between(*look.ambient)
    turn, high = dice.between(0, 2 * math.pi), math.radians(dice.between(*look.elevation))
    warm, blue = dice.between(*look.warmth), dice.between(*look.blue)
    sun = np.array([math.cos(turn) * math.cos(high), math.sin(turn) * math.cos(high), math.sin(high)])
    white = np.array([1 + 0.6 * warm, 1.0, 1 - 0.8 * warm])
    sky = np.array([1 - blue, 1 - 0.35 * blue, 1 + 0.3 * blue])
    across = np.array([-math.sin(turn), math.cos(turn), 0.0])
    half = _SUN * math.tan(math.radians(look.softness))
    lamp = Light(
        _triple(sun * _SUN),
        _triple(across * half),
        _triple(np.cross(sun, across) * half),
        _triple(white * power * (_SUN * _SUN)),
        (0.0, 0.0, 0.0),
    )
    bright = dice.between(*look.sky) * (ambient + 0.25 * power)
    return Weather(
        Lighting((lamp,), _triple(ambient * sky), reach=3.0, overhead=0.4),
        sun.astype(np.float32),
        (0.4 * power * white).astype(np.float32),
        (0.8 * bright * sky**2.0).astype(np.float32),
        (1.1 * bright * sky**0.8 * (0.75 + 0.25 * white)).astype(np.float32),
        dice.between(*look.clouds),
        (dice.unit(), dice.unit()),
        dice.between(*look.haze),
        dice.between(*look.stains),
    )


def _triple(values: npt.NDArray[np.float64]) -> tuple[float, float, float]:
    x, y, z = (float(v) for v in values)
    return (x, y, z)


def sky_colour(air: Weather, ray: Floats) -> Floats:
    """Linear colour (N, 3) of the sky along rays (N, 3): a gradient, glare around the sun, clouds on a plane."""
    view = ray / np.linalg.norm(ray, axis=1, keepdims=True)
    up = np.maximum(view[:, 2:], 0)
    share = np.sqrt(up)
    colour = air.horizon * (1 - share) + air.zenith * share
    toward = np.maximum(view @ air.sun, 0)[:, None]
    colour = colour + air.glare * (toward**8 * np.float32(0.5) + toward**200)
    flat = view[:, :2] / (up + np.float32(0.12)) * np.float32(0.22) + np.array(air.drift, np.float32)
    footprint = np.full(len(view), 1.0, np.float32)
    noise = 0.6 * texels(_CLOUD, flat, footprint)[0] + 0.4 * texels(_DIRT, flat * np.float32(2.7), footprint)[0]
    cover = np.clip((noise - (1 - np.float32(air.clouds))) * np.float32(2.5), 0, 1)
    cloud = air.horizon.mean() * (np.float32(1.15) - np.float32(0.45) * noise)
    return np.asarray(colour * (1 - cover) + cloud * cover, np.float32)


class StreetPainter(Painter):
    """Adds sky, dirt and haze, and develops as the look's camera does."""

    FAR = 5000.0
    WITHIN = ((0.2, 0.25),)  # one: rays cost more among so many parts

    def __init__(self, scene: tuple[Geometry, Caster, Camera, Materials], air: Weather, look: Look, dice: Dice) -> None:
        """`dice` draws the camera's response and feeds the noise."""
        super().__init__(*scene, air.lighting, dice.rng)
        self.air, self.look, self.dice = air, look, dice

    def outside(self, surface: Surface) -> Bools:
        """Which samples (N,) see the sky."""
        return np.asarray(self.geometry.label[self.geometry.object[surface.part]] == SKY)

    def _colour(self, surface: Surface, seen: Floats) -> tuple[Floats, Floats, Floats]:
        colour, albedo, incoming = super()._colour(surface, seen)
        colour *= self._dirt(surface)[:, None]
        reach = surface.depth * np.linalg.norm(surface.ray, axis=1)
        clear = np.exp(reach * np.float32(-self.air.haze))[:, None]
        colour = colour * clear + self.air.horizon * (1 - clear)
        sky = np.flatnonzero(self.outside(surface))
        colour[sky] = sky_colour(self.air, surface.ray[sky])
        return colour, albedo, incoming

    def _dirt(self, surface: Surface) -> Floats:
        """Factor (N,) on the light of each sample: stains on a grid of their own, whatever the object."""
        point, level = surface.point, np.abs(surface.flat[:, 2]) > 0.7
        along = point[:, 0] + point[:, 1]
        place: Floats = np.stack([np.where(level, point[:, 0], along), np.where(level, point[:, 1], point[:, 2])], 1)
        footprint = surface.depth / np.float32(self.camera.focal)
        noise = np.zeros(len(point), np.float32)
        for share, pattern, period in ((0.6, _CLOUD, 6.3), (0.4, _DIRT, 1.1)):
            mix = texels(pattern, place / np.float32(period), footprint * np.float32(SIDE / period))[0]
            noise += np.float32(share) * mix[:, 0]
        return np.asarray(1 + np.float32(self.air.stains) * (noise - np.float32(0.55)) * 2, np.float32)

    def _exposure(self, colour: Floats, surface: Surface) -> float:
        """Exposed for the street: the sky may burn out."""
        return exposure(colour[~self.outside(surface)], self.dice.between(*self.look.target))

    def _develop(self, light: Floats) -> npt.NDArray[np.uint8]:
        return respond(light, self.look, self.dice)


def respond(light: Floats, look: Look, dice: Dice) -> npt.NDArray[np.uint8]:
    """Exposed linear light (H, W, 3) -> image: lens (flare, vignette, blur), tone curve, colours, noise of a look."""
    height, width = light.shape[:2]
    y = np.linspace(-0.5, 0.5, height, dtype=np.float32)[:, None, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :, None]
    light = light * (1 - np.float32(dice.between(*look.vignette)) * (x * x + y * y)) + np.float32(
        dice.between(*look.black)
    )
    light = _blurred(light, np.float32(dice.between(*look.blur)))
    curve = light * (1 + light / np.float32(9)) / (1 + light) * np.float32(1.3)
    image = np.power(np.clip(curve, 0, 1), np.float32(1 / 2.2))
    image = (image - np.float32(0.5)) * np.float32(dice.between(*look.contrast)) + np.float32(0.5)
    grey = (image @ _LUMINANCE)[..., None]
    image = (grey + (image - grey) * np.float32(dice.between(*look.vividness))) * np.array(look.tint, np.float32)
    # Shot noise grows with the root of the light; a quarter is there in the dark, too.
    strength = np.float32(dice.between(*look.noise)) * (np.float32(0.25) + np.sqrt(np.clip(image, 0, 1)))
    noisy = image + dice.rng.standard_normal(image.shape, dtype=np.float32) * strength
    return np.asarray(np.clip(noisy, 0, 1) * 255 + np.float32(0.5)).astype(np.uint8)


def _blurred(light: Floats, share: np.float32) -> Floats:
    """Each pixel gives `share` of its light to its neighbours, along rows, then along columns."""
    if share == 0:
        return light
    for axis in (0, 1):
        before, after = (np.roll(light, step, axis) for step in (1, -1))
        first, last = [slice(None)] * 3, [slice(None)] * 3
        first[axis], last[axis] = slice(0, 1), slice(-1, None)
        before[tuple(first)], after[tuple(last)] = light[tuple(first)], light[tuple(last)]
        light = (1 - share) * light + share / 2 * (before + after)
    return light
