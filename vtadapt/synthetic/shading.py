"""Light, shadow and camera response.

Each sample gets lambert light with distance falloff and one shadow ray per light to a jittered point of the light, one
occlusion ray for the ambient part, and a small highlight; visibility is then blurred along surfaces, which turns
the jitter into soft shadows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vtadapt.synthetic.raycast import Camera, Caster
from vtadapt.synthetic.surface import Surface

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]

AMBIENT_REACH = 1.2
LIFT = np.float32(2e-3)


@dataclass(frozen=True)
class Light:
    """A lamp or a bright window: centre, two half axes of its area, colour x power, facing (zeros = all round)."""

    position: tuple[float, float, float]
    across: tuple[float, float, float]
    along: tuple[float, float, float]
    colour: tuple[float, float, float]
    facing: tuple[float, float, float]


@dataclass(frozen=True)
class Lighting:
    """All lights of a scene and the ambient colour, which what lies within `reach` metres keeps away.

    The share `overhead` of it falls on what faces up and is taken from what faces down.
    """

    lights: tuple[Light, ...]
    ambient: tuple[float, float, float]
    reach: float = AMBIENT_REACH
    overhead: float = 0.2


def visibility(surface: Surface, caster: Caster, lighting: Lighting, pattern: Ints, rng: np.random.Generator) -> Floats:
    """Share of each light and of the ambient light that reaches each sample, 0 or 1, (N, lights + 1).

    `pattern` (N,) in 0..15 picks one of 16 stratified jitters, so that a 4 x 4 block of pixels covers a light evenly.
    """
    origin = surface.point + surface.flat * LIFT
    columns = []
    for light in lighting.lights:
        jitter = _stratified(rng)[pattern] * 2 - 1
        target = np.array([light.position], np.float32) + jitter @ np.array([light.across, light.along], np.float32)
        ray = target - origin
        lit = np.einsum("nk,nk->n", ray, surface.normal) > 0
        if any(light.facing):
            lit &= ray @ np.array(light.facing, np.float32) < 0
        seen = np.zeros(len(ray), np.float32)
        seen[lit] = ~caster.occluded(origin[lit], ray[lit], 0.97)
        columns.append(seen)
    jitter = _stratified(rng)[pattern]
    angle, high = jitter[:, 0] * np.float32(2 * np.pi), 1 - 2 * jitter[:, 1]
    ring = np.sqrt(np.maximum(1 - high * high, 0))
    ball = np.stack([ring * np.cos(angle), ring * np.sin(angle), high], axis=1)
    # Normal plus a point of the unit sphere: cosine-weighted directions.
    closed = caster.occluded(origin, surface.flat * np.float32(1.02) + ball, lighting.reach)
    columns.append(np.where(closed, np.float32(0.25), np.float32(1)))
    return np.stack(columns, axis=1)


def _stratified(rng: np.random.Generator) -> Floats:
    """16 points of the unit square (16, 2), one per cell of a 4 x 4 grid, in random order."""
    cells = rng.permutation(16)
    return ((np.stack([cells % 4, cells // 4], 1) + rng.random((16, 2))) / 4).astype(np.float32)


def smooth_along_surfaces(seen: Floats, surface: Surface, size: tuple[int, int]) -> Floats:
    """Visibility (H * W, C) averaged over about 5 x 5 pixels of the same part that face the same way."""
    height, width = size
    same = surface.patch.reshape(height, width)
    field = seen.reshape(height, width, -1)
    for vertical in (False, True):
        total, weight = field.copy(), np.ones((height, width, 1), np.float32)
        for step in (1, 2):
            a = (slice(step, None), slice(None)) if vertical else (slice(None), slice(step, None))
            b = (slice(None, -step), slice(None)) if vertical else (slice(None), slice(None, -step))
            # Weights 1/2 1 1 1 1/2: exact for whatever repeats every four pixels, as the jitter does.
            match = (same[a] == same[b]).astype(np.float32)[..., None] * np.float32(1 if step == 1 else 0.5)
            total[a] += field[b] * match
            total[b] += field[a] * match
            weight[a] += match
            weight[b] += match
        field = total / weight
    return field.reshape(height * width, -1)


def irradiance(surface: Surface, lighting: Lighting, seen: Floats, gloss: Floats) -> tuple[Floats, Floats]:
    """Incoming light (N, 3) and highlights (N, 3), relative. Falloff 1 / (d^2 + 0.4), highlight Blinn-Phong 24."""
    # Rows instead of columns of three: numpy runs several times faster along long rows.
    point, normal = np.ascontiguousarray(surface.point.T), np.ascontiguousarray(surface.normal.T)
    shiny = np.flatnonzero(gloss > 0)
    view = -surface.ray[shiny].T
    view = view / np.sqrt((view * view).sum(axis=0))
    colours = np.array([light.colour for light in lighting.lights] + [lighting.ambient], np.float32)
    power, peaks = np.empty((len(colours), len(gloss)), np.float32), np.zeros((len(colours), len(shiny)), np.float32)
    power[-1] = (np.float32(1 - lighting.overhead) + np.float32(lighting.overhead) * normal[2]) * seen[:, -1]
    for row, light in enumerate(lighting.lights):
        ray = np.array(light.position, np.float32)[:, None] - point
        square = ray[0] * ray[0] + ray[1] * ray[1] + ray[2] * ray[2]
        ray *= 1 / np.sqrt(square)
        strength = seen[:, row] / (square + np.float32(0.4))
        if any(light.facing):
            facing = np.array(light.facing, np.float32)
            strength *= np.maximum(-(ray[0] * facing[0] + ray[1] * facing[1] + ray[2] * facing[2]), 0)
        cosine = ray[0] * normal[0] + ray[1] * normal[1] + ray[2] * normal[2]
        power[row] = np.maximum(cosine, 0) * strength
        half = ray[:, shiny] + view
        half /= np.sqrt((half * half).sum(axis=0)) + np.float32(1e-6)
        peak = np.maximum((half * normal[:, shiny]).sum(axis=0), 0)
        peaks[row] = ((peak * peak * peak) ** 2) ** 4 * gloss[shiny] * strength[shiny]
    shine = np.zeros((len(gloss), 3), np.float32)
    shine[shiny] = peaks.T @ colours
    return power.T @ colours, shine


def exposure(light: Floats, target: float) -> float:
    """The factor that brings the median luminance of linear light (N, 3) to `target`, held back by the top tenth."""
    luminance = light @ np.array([0.2126, 0.7152, 0.0722], np.float32)
    middle, high = np.quantile(luminance[::7], (0.5, 0.9))
    return float(min(target / max(middle, 1e-4), 1.1 / max(high, 1e-4)))


def develop(light: Floats, camera: Camera, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Exposed linear light (H, W, 3) -> image: vignetting, Reinhard's curve (white at 3), gamma 2.2, sensor noise."""
    height, width = camera.size
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :, None]
    dimmed = light * (np.float32(1) - np.float32(rng.uniform(0, 0.15)) * (x * x + y * y))
    curve = dimmed * (1 + dimmed / np.float32(9)) / (1 + dimmed) * np.float32(1.3)
    image = np.power(np.minimum(curve, np.float32(1)), np.float32(1 / 2.2))
    noise = rng.standard_normal(image.shape, dtype=np.float32)
    noisy = image + noise * np.float32(rng.uniform(0.003, 0.015))
    return (np.clip(noisy, 0, 1) * 255 + np.float32(0.5)).astype(np.uint8)
