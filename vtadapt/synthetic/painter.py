"""From surfaces to an image: visibility of the lights, colours, smoothed edges of things, exposure, camera response."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt

from vtadapt.synthetic import shading
from vtadapt.synthetic.pool import Sample
from vtadapt.synthetic.raycast import Camera, Caster
from vtadapt.synthetic.scene import Geometry
from vtadapt.synthetic.surface import Surface, colours, look
from vtadapt.synthetic.textures import Materials

Floats = npt.NDArray[np.float32]


class Painter:
    """Turns surfaces of one scene into colours; scenes in the open override what differs there."""

    FAR: ClassVar[float] = 50.0  # metres, where rays that leave the scene land
    # Sample positions inside a pixel beside its centre, used where neighbouring pixels show different things.
    WITHIN: ClassVar[tuple[tuple[float, float], ...]] = ((-0.3, -0.2), (0.2, 0.3))

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
        scale = np.float32(self._exposure(colour, surface))
        self._antialias(colour, surface, lines)
        image = self._develop((colour * scale).reshape(*size, 3))
        luminance = incoming @ np.array([0.2126, 0.7152, 0.0722], np.float32)
        return {
            "image": image,
            "albedo": (albedo ** np.float32(1 / 2.2) * 255 + np.float32(0.5)).astype(np.uint8).reshape(*size, 3),
            "shading": np.minimum(luminance * scale, 100).astype(np.float16).reshape(size),
        }

    def _exposure(self, colour: Floats, surface: Surface) -> float:
        """The factor on linear colours (N, 3)."""
        del surface
        return shading.exposure(colour, self.rng.uniform(0.13, 0.3))

    def _develop(self, light: Floats) -> npt.NDArray[np.uint8]:
        """Exposed linear light (H, W, 3) -> image."""
        return shading.develop(light, self.camera, self.rng)

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
        for dx, dy in self.WITHIN:
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
                more = look(self.geometry, self.caster, self.camera, x[new], y[new], self.FAR)
                seen = shading.visibility(
                    more, self.caster, self.lighting, np.arange(len(new), dtype=np.int32) % 16, self.rng
                )
                added[new] = self._colour(more, seen)[0]
            total += added
        colour[pixels] = total / np.float32(1 + len(self.WITHIN))
