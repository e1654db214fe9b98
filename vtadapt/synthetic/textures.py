"""Procedural textures in one bank with mip levels, and materials drawn from one distribution whatever the class.

A texture has two channels: `mix` between a material's two colours, and `shade`, a factor on the result. The bank is
made once per process from a fixed seed. A look-up is a single gather at the mip level of the pixel's footprint,
so far patterns fade to their mean instead of aliasing.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from vtadapt.synthetic.scene import Dice

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]
Doubles = npt.NDArray[np.float64]

SIDE = 128
LEVELS = 7
PATTERNS = 60
CONTENTS = 28
_TAG = 7901
_BASES = 44


def _noise(rng: np.random.Generator, power: float, stretch: float = 1.0) -> Doubles:
    """Periodic noise (SIDE, SIDE) of spectrum 1 / f^power in 0..1; `stretch` > 1 draws it out along the columns."""
    fy = np.fft.fftfreq(SIDE)[:, None] * SIDE
    fx = np.fft.fftfreq(SIDE)[None, :] * SIDE
    radius = np.sqrt((fy * 1.0) ** 2 + (fx * stretch) ** 2)
    radius[0, 0] = np.inf
    field = np.fft.ifft2(np.fft.fft2(rng.standard_normal((SIDE, SIDE))) / radius**power).real
    low, high = np.quantile(field, (0.02, 0.98))
    return np.clip((field - low) / (high - low), 0, 1)


def _pattern(rng: np.random.Generator, index: int) -> tuple[Doubles, Doubles]:
    """One repeating pattern: mix and shade (SIDE, SIDE), shade about 1."""
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    style = index % 12
    fine = _noise(rng, 0.4)
    shade = 1 + rng.uniform(0.0, 0.16) * (fine - 0.5)
    repeat = int(rng.integers(1, 5))
    duty = rng.uniform(0.2, 0.8)
    if style == 0:
        return np.zeros_like(x), shade
    if style == 1:
        return ((x * repeat) % 1 < duty).astype(float), shade
    if style == 2:
        return ((np.floor(x * 2 * repeat) + np.floor(y * 2 * repeat)) % 2), shade
    if style in (3, 4):
        warp = _noise(rng, 1.6, 5.0)
        rings = 0.5 + 0.5 * np.sin(2 * np.pi * (x * int(rng.integers(2, 6)) + 1.5 * warp))
        return 0.6 * rings, shade * (0.85 + 0.3 * _noise(rng, 0.6, 8.0))
    if style == 5:
        return _noise(rng, rng.uniform(0.8, 2.2)), shade
    if style == 6:
        rows = 2 * repeat
        shift = 0.5 * (np.floor(y * rows) % 2)
        joint = ((y * rows) % 1 < 0.14) | ((x * repeat + shift) % 1 < 0.07)
        tone = rng.random((rows, repeat + 1))[
            np.floor(y * rows).astype(int), np.floor(x * repeat + shift).astype(int) % repeat
        ]
        return joint.astype(float), shade * np.where(joint, 1, 0.8 + 0.35 * tone)
    if style == 7:
        joint = ((y * repeat) % 1 < 0.06) | ((x * repeat) % 1 < 0.06)
        tone = rng.random((repeat, repeat))[np.floor(y * repeat).astype(int), np.floor(x * repeat).astype(int)]
        return joint.astype(float), shade * (0.9 + 0.2 * tone)
    if style == 8:
        return 0.5 + 0.5 * np.sin(2 * np.pi * (x + y * int(rng.integers(-2, 3)))), shade
    if style == 9:
        dots = ((x * 2 * repeat) % 1 - 0.5) ** 2 + ((y * 2 * repeat) % 1 - 0.5) ** 2
        return (dots < rng.uniform(0.04, 0.15)).astype(float), shade
    if style == 10:
        return ((x + y) * 2 * repeat % 1 < duty).astype(float), shade
    return (_noise(rng, 1.0) > duty).astype(float), shade * (0.85 + 0.3 * _noise(rng, 1.2))


def _content(rng: np.random.Generator, index: int) -> tuple[Doubles, Doubles]:
    """One whole picture: mix and shade (SIDE, SIDE); landscapes, heads, shapes, text, blurs."""
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    mix, shade = rng.uniform(0, 1) * (1 - y) + rng.uniform(0, 0.5) * _noise(rng, 1.5), np.ones_like(x)
    style = index % 5
    if style == 0:
        for _ in range(3):
            hill = rng.uniform(0.3, 0.7) + 0.12 * np.sin(2 * np.pi * (rng.uniform(0.5, 2) * x + rng.random()))
            mix, shade = np.where(y < hill, rng.random(), mix), np.where(y < hill, rng.uniform(0.4, 1.2), shade)
    elif style == 1:
        for cy, ry, rx in ((0.2, 0.3, 0.35), (0.6, 0.2, 0.15)):
            inside = ((y - cy) / ry) ** 2 + ((x - 0.5) / rx) ** 2 < 1
            mix, shade = np.where(inside, rng.random(), mix), np.where(inside, rng.uniform(0.5, 1.4), shade)
    elif style == 2:
        for _ in range(6):
            left, low = rng.random(2) * 0.8
            inside = (np.abs(x - left - 0.15) < rng.uniform(0.05, 0.3)) & (
                np.abs(y - low - 0.15) < rng.uniform(0.05, 0.3)
            )
            mix, shade = np.where(inside, rng.random(), mix), np.where(inside, rng.uniform(0.4, 1.4), shade)
    elif style == 3:
        lines = ((y * 12) % 1 < 0.45) & (x < 0.3 + 0.6 * rng.random(13)[np.floor(y * 12).astype(int)]) & (x > 0.08)
        mix, shade = np.where(lines, 0.9, 0.1), np.where(lines, 0.6, 1.2)
    else:
        mix, shade = _noise(rng, 2.0), 0.6 + 0.7 * _noise(rng, 1.8)
    return mix, shade


@cache
def bank() -> tuple[npt.NDArray[np.uint8], Ints]:
    """All textures and mip levels as rows (N, 2) of mix x 255 and shade x 127, and the first row of each level."""
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([_TAG])))
    made = [_pattern(rng, i) for i in range(PATTERNS)] + [_content(rng, i) for i in range(CONTENTS)]
    level = np.stack([np.stack(pair, axis=-1) for pair in made])
    rows, starts = [], [0]
    for _ in range(LEVELS):
        rows.append(np.clip(level * (255, 127), 0, 255).astype(np.uint8).reshape(-1, 2))
        starts.append(starts[-1] + len(rows[-1]))
        level = 0.25 * (level[:, ::2, ::2] + level[:, 1::2, ::2] + level[:, ::2, 1::2] + level[:, 1::2, 1::2])
    return np.concatenate(rows), np.array(starts[:-1], np.int32)


def texels(texture: Ints | int, place: Floats, footprint: Floats) -> tuple[Floats, Floats]:
    """Mix 0..1 and shade about 1, (N, 1) each, of a texture at `place` (N, 2), in periods; `footprint` (N), texels."""
    rows, starts = bank()
    level = np.minimum(np.log2(np.maximum(footprint, 1.0)) + 0.3, LEVELS - 1).astype(np.int32)
    side = np.right_shift(SIDE, level)
    place = place - np.floor(place)
    column = np.minimum((place[:, 0] * side).astype(np.int32), side - 1)
    row = np.minimum((place[:, 1] * side).astype(np.int32), side - 1)
    texel = rows[starts[level] + (texture * side + row) * side + column].astype(np.float32)
    return texel[:, :1] * np.float32(1 / 255), texel[:, 1:] * np.float32(1 / 127)


@dataclass(frozen=True)
class Materials:
    """Materials: colours `first`, `second` (M, 3) linear RGB; `texture`; `period` metres; `gloss`, `glow`, `whole`."""

    first: Floats
    second: Floats
    texture: Ints
    period: Floats
    gloss: Floats
    glow: Floats
    whole: npt.NDArray[np.bool_]

    def albedo(self, material: Ints, uv: Floats, footprint: Floats) -> Floats:
        """Linear colours (N, 3) at `uv` (N, 2), metres or 0..1 where `whole`; `footprint` (N) of a pixel alike."""
        period = self.period[material]
        mix, shade = texels(self.texture[material], uv / period[:, None], footprint * (np.float32(SIDE) / period))
        first = self.first[material]
        return np.clip((first + (self.second[material] - first) * mix) * shade, 0.01, 0.95)


def _colours(hue: Doubles, saturation: Doubles, value: Doubles) -> Doubles:
    """HSV (N,) -> sRGB-like values -> linear light (N, 3)."""
    k = (np.array([5.0, 3.0, 1.0])[None] + hue[:, None] * 6) % 6
    rgb = value[:, None] * (1 - saturation[:, None] * np.clip(np.minimum(k, 4 - k), 0, 1))
    return np.asarray(rgb**2.2)


@dataclass(frozen=True)
class Palette:
    """What materials are drawn from; the same for every class. Ranges are uniform but for `period`, log uniform."""

    saturation: tuple[float, float] = (1.0, 3.2)  # of the beta distribution
    value: tuple[float, float] = (0.2, 0.97)
    plain: float = 0.45  # share of materials without a pattern
    styles: tuple[int, ...] = ()  # of the patterns of the others, modulo 12; empty: all
    period: tuple[float, float] = (0.1, 1.0)  # metres
    glossy: float = 0.4  # share
    gloss: tuple[float, float] = (0.05, 0.35)


class Paint:
    """The materials of one scene: a pool that every class picks from, and pictures, screens and glowing ones."""

    def __init__(self, rng: np.random.Generator, dice: Dice, palette: Palette | None = None) -> None:
        """Draws the pool; hues lean towards three of the scene's own."""
        self.dice = dice
        like = palette or Palette()
        n = _BASES
        hue = (
            np.where(rng.random(n) < 0.6, rng.random(3)[rng.integers(0, 3, n)] + rng.normal(0, 0.04, n), rng.random(n))
            % 1
        )
        saturation, value = rng.beta(*like.saturation, n), rng.uniform(*like.value, n)
        other_value = np.clip(value + rng.normal(0, 0.2, n), 0.12, 0.97)
        other_hue = np.where(rng.random(n) < 0.75, hue, rng.random(n))
        first = _colours(hue, saturation, value)
        second = _colours(other_hue, np.clip(saturation + rng.normal(0, 0.15, n), 0, 0.9), other_value)
        plain = rng.random(n) < like.plain
        texture = np.where(plain, 12 * rng.integers(0, PATTERNS // 12, n), rng.integers(0, PATTERNS, n))
        if like.styles:
            texture = np.where(plain, texture, texture // 12 * 12 + np.array(like.styles)[texture % len(like.styles)])
        period = np.exp(rng.uniform(np.log(like.period[0]), np.log(like.period[1]), n))
        gloss = np.where(rng.random(n) < like.glossy, rng.uniform(*like.gloss, n), 0.0)
        self._pool = (first, second, texture, period, gloss)
        self._made: list[tuple[int, int, float, bool]] = []

    def any(self) -> int:
        """A material of the pool."""
        return int(_BASES * self.dice.unit())

    def picture(self, glow: float = 0.0) -> int:
        """A material of the pool's colours that shows one whole picture across the part."""
        return self._derive(self.any(), PATTERNS + int(CONTENTS * self.dice.unit()), glow, True)

    def glowing(self, glow: float) -> int:
        """A material of the pool that also emits light, `glow` times its colour."""
        return self._derive(self.any(), -1, glow, False)

    def _derive(self, base: int, texture: int, glow: float, whole: bool) -> int:
        self._made.append((base, texture, glow, whole))
        return _BASES + len(self._made) - 1

    def materials(self) -> Materials:
        """Everything drawn so far."""
        first, second, texture, period, gloss = self._pool
        made = np.array(self._made, dtype=np.float64).reshape(-1, 4)
        rows = np.concatenate([np.arange(_BASES), made[:, 0].astype(np.int64)])
        chosen = np.concatenate([np.full(_BASES, -1.0), made[:, 1]])
        whole = np.concatenate([np.zeros(_BASES), made[:, 3]]) > 0
        return Materials(
            first=first[rows].astype(np.float32),
            second=second[rows].astype(np.float32),
            texture=np.where(chosen >= 0, chosen, texture[rows]).astype(np.int32),
            period=np.where(whole, 1.0, period[rows]).astype(np.float32),
            gloss=gloss[rows].astype(np.float32),
            glow=np.concatenate([np.zeros(_BASES), made[:, 2]]).astype(np.float32),
            whole=whole,
        )
