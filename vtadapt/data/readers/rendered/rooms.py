"""Synthetic rooms; see ``vtadapt.synthetic.rooms.rooms``."""

from __future__ import annotations

import numpy as np

from vtadapt.data.readers.base import Arrays
from vtadapt.data.readers.rendered.base import Rendered

EXTRAS = {"albedo", "shading", "reshading", "height", "borders", "things"}
"""Tasks that are rendered only where one of them is wanted."""


class Rooms(Rendered):
    """Rendered rooms."""

    prefix = "room"

    def render(self, seed: int, size: tuple[int, int]) -> Arrays:
        """One room; of the extras only those that are tasks, as floats of about 0 to 1."""
        from vtadapt.synthetic.rooms.rooms import render_room

        if not EXTRAS & set(self.wanted):
            return render_room(seed, size)
        sample = render_room(seed, size, extras=True)
        sample["albedo"] = sample["albedo"].astype(np.float32) / np.float32(255)
        # Lamps and windows are a hundred times as bright as a wall: by their logarithm both can be learned.
        sample["shading"] = np.log1p(sample["shading"].astype(np.float32))
        sample["things"] = sample.pop("kind")
        return sample
