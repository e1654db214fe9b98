"""Small sets whose labels are annotations: pictures of one size, a recipe, and what the pack holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.data.formats import annotations as made
from tests.data.formats.own import OwnSet

CLASSES = ["ground", "plant", "wall"]


class AnnotatedSet(OwnSet):
    """Pictures of 40x60 below ``images/``; ``how``: what the recipe says of the labels, files included."""

    def __init__(self, root: Path, how: dict[str, Any], **options: Any) -> None:
        task = {"kind": "classes", "classes": CLASSES}
        super().__init__(root, task, how, **options)

    def pictures(self, *names: str, size: tuple[int, int] = (made.HEIGHT, made.WIDTH)) -> AnnotatedSet:
        for i, name in enumerate(names):
            self.picture(name, Image.new("RGB", size[::-1], (i, 90, 190)))
        return self

    def label_of(self, name: str) -> np.ndarray:
        _, held = self.prepare()
        return held[name]["x"]


@pytest.fixture
def scene() -> list[made.Thing]:
    """A wall, a plant before it, a triangle of ground; the smaller lies above the larger."""
    return [
        made.rectangle("wall", 5, 4, 50, 30),
        made.rectangle("plant", 20, 10, 40, 25),
        made.triangle("ground", (24.2, 11.3), (38.1, 14.7), (27.4, 23.3)),
    ]
