"""Rooms for who has no photograph at hand."""

from __future__ import annotations

import secrets

import numpy as np
from numpy.typing import NDArray

SIZE = (240, 320)
FIRST = 10**9  # of the seeds, none of which a data set has


def fresh_room() -> NDArray[np.uint8]:
    """A room that no run has seen, (H, W, 3) uint8."""
    from vtadapt.synthetic.rooms.rooms import render_room  # half a second, and not everybody asks for one

    return render_room(FIRST + secrets.randbelow(FIRST), SIZE)["image"]
