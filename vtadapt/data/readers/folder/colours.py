"""Classes drawn in colours: each pixel has exactly the colour of its class, or one that means "no class"."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vtadapt.data.readers.raw.raster import Raster
from vtadapt.errors import DataError
from vtadapt.tasks.class_ids import VOID, type_holding
from vtadapt.tasks.spec import Colour

STEPS = {255: 1, 65535: 257}  # largest number of a channel -> what one step of 8 bits is in it


def ids_of_colours(
    raster: Raster, path: Path, colours: Sequence[Colour], void: Sequence[Colour], where: str
) -> NDArray[Any]:
    """(H, W) ids of the classes whose colours the pixels have; 255 = void.

    Args:
        raster: a picture of 8 or 16 bits a channel, grey, of colours, or with a palette; alpha must be opaque.
        path: for messages.
        colours: of the classes, in the order of their ids, each of its own.
        void: colours that are no class.
        where: the recipe's key, for messages.

    Raises:
        DataError: another picture, transparent pixels, or a colour that is none of these; it names the first.
    """
    rgb = _rgb(raster, path)
    codes = rgb[..., 0] << 16 | rgb[..., 1] << 8 | rgb[..., 2]
    ids = {_code(colour): id_ for id_, colour in enumerate(colours)} | {_code(colour): VOID for colour in void}
    found, place = np.unique(codes, return_inverse=True)
    if odd := [int(code) for code in found if int(code) not in ids]:
        first = [odd[0] >> 16, odd[0] >> 8 & 255, odd[0] & 255]
        more = f" and {len(odd) - 1} other colours" if len(odd) > 1 else ""
        raise DataError(
            f"{path}: colour {first}{more}, of no class; name it in the task's 'colours' or in {where}.void_colours"
        )
    table = np.array([ids[int(code)] for code in found], type_holding(ids.values()))
    return table[place].reshape(codes.shape)


def _rgb(raster: Raster, path: Path) -> NDArray[np.uint32]:
    """(H, W, 3) of 8 bits, however they are stored."""
    array = raster.array
    if raster.palette is not None:
        return raster.palette[array].astype(np.uint32)
    step = STEPS.get(raster.full or 0)
    if step is None or raster.mode not in ("L", "LA", "RGB", "RGBA"):
        raise DataError(f"{path}: picture of mode {raster.mode}, wanted colours of 8 or 16 bits ('read: colours')")
    if raster.mode.endswith("A"):
        if (array[..., -1] != raster.full).any():
            raise DataError(f"{path}: picture with transparent pixels, wanted one without ('read: colours')")
        array = array[..., :-1]
    array = array if array.ndim == 3 else array[..., None]
    if (array % step).any():
        raise DataError(f"{path}: colours of 16 bits that are none of 8 bits, so none of the task's")
    return np.broadcast_to((array // step).astype(np.uint32), (*array.shape[:2], 3))


def _code(colour: Colour) -> int:
    return colour[0] << 16 | colour[1] << 8 | colour[2]
