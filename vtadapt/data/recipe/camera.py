"""The camera of a data set, where its files or its authors tell it."""

from __future__ import annotations

import math

from pydantic import Field

from vtadapt.data.recipe.strict import Strict

FARTHEST = 1e9  # pixels; beyond, and with infinity and NaN, arithmetic gives nothing


class Intrinsics(Strict):
    """Pinhole camera in pixels of an image of ``width`` x ``height``; pixel (column u, row v) has its centre at (u, v).

    A point X = (x, y, z) with +x right, +y down, +z away is seen at u = fx x / z + cx, v = fy y / z + cy.
    """

    fx: float = Field(gt=0, le=FARTHEST)
    fy: float = Field(gt=0, le=FARTHEST)
    cx: float = Field(ge=-FARTHEST, le=FARTHEST)
    cy: float = Field(ge=-FARTHEST, le=FARTHEST)
    width: int = Field(gt=0, le=10**6)
    height: int = Field(gt=0, le=10**6)

    def resized(self, height: int, width: int) -> Intrinsics:
        """The same camera after resizing the image to ``height`` x ``width`` (pixel edges stay where they are)."""
        sx, sy = width / self.width, height / self.height
        return Intrinsics(
            fx=self.fx * sx,
            fy=self.fy * sy,
            cx=(self.cx + 0.5) * sx - 0.5,
            cy=(self.cy + 0.5) * sy - 0.5,
            width=width,
            height=height,
        )

    def fits(self, height: int, width: int) -> bool:
        """Whether an image of that size can be the camera's, resized: whether its aspect ratio is, within a pixel."""
        return abs(height * self.width - width * self.height) <= max(self.width, self.height)

    @property
    def focal(self) -> float:
        """The geometric mean of both focal lengths, in pixels."""
        return math.sqrt(self.fx * self.fy)
