"""Synthetic rooms; see ``vtadapt.synthetic.rooms.rooms``."""

from __future__ import annotations

from vtadapt.data.readers.base import Arrays
from vtadapt.data.readers.rendered.base import Rendered


class Rooms(Rendered):
    """Rendered rooms."""

    prefix = "room"

    def render(self, seed: int, size: tuple[int, int]) -> Arrays:
        """One room."""
        from vtadapt.synthetic.rooms.rooms import render_room

        return render_room(seed, size)
