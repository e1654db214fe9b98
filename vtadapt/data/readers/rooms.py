"""Synthetic rooms; see ``vtadapt.data.synthetic.rooms``."""

from __future__ import annotations

from vtadapt.data.readers.base import Arrays
from vtadapt.data.readers.rendered import Rendered


class Rooms(Rendered):
    """Rendered rooms."""

    prefix = "room"

    def render(self, seed: int, size: tuple[int, int]) -> Arrays:
        """One room."""
        from vtadapt.data.synthetic.rooms import render_room

        return render_room(seed, size)
