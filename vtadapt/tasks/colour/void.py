"""How a pixel without a label looks, in every picture: light diagonal stripes.

No colour can say "nothing here" for all kinds: black is a class of many sets, grey is a probability, and every hue is a
direction. Stripes are none of these, whatever the colours.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vtadapt.tasks.spec import Colour

STRIPES: tuple[Colour, Colour] = ((250, 250, 250), (168, 172, 178))


def striped(height: int, width: int, stripe: int | None = None) -> NDArray[np.uint8]:
    """Return (H, W, 3) of stripes, ``stripe`` pixels wide (measured along a row).

    By default a sixtieth of the shorter side: a picture looks alike when it is drawn larger or smaller.
    """
    stripe = stripe or max(1, round(min(height, width) / 60))
    rows, columns = np.ogrid[:height, :width]
    return np.array(STRIPES, dtype=np.uint8)[(rows + columns) // stripe % 2]


def hide(picture: NDArray[np.uint8], missing: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return ``picture`` (H, W, 3) with stripes where ``missing`` (H, W); it is changed in place."""
    if missing.any():
        picture[missing] = striped(*missing.shape)[missing]
    return picture
