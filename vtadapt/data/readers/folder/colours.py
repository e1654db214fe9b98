"""Classes drawn in colours: each pixel has the colour of its class, or one that means "no class".

Where edges were smoothed, or a mask was stored as JPEG, pixels have colours between those of classes. They are refused
unless the recipe tolerates them: within ``tolerance`` of a class' colour in every channel they are that class, and what
is left over ``others`` makes void, or the class of the nearest colour.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vtadapt.data.readers.raw.raster import Raster
from vtadapt.digits import percent
from vtadapt.errors import DataError
from vtadapt.tasks.class_ids import VOID, type_holding
from vtadapt.tasks.spec import Colour

STEPS = {255: 1, 65535: 257}  # largest number of a channel -> what one step of 8 bits is in it
COARSE = (1, 3, 15)  # largest numbers of grey of 1, 2 and 4 bits
SHOWN = 4  # colours that a message names
MANY = 16  # so many colours of no class are no list of forgotten classes, but mixtures


@dataclass(frozen=True)
class ColourKey:
    """Which colour stands for what.

    Attributes:
        ids: colour -> id of its class, 255 for void.
        tolerance: how far each channel may lie from the nearest of them.
        others: what becomes of other colours, "void" or "nearest"; None: they are refused.
        where: the recipe's key, for messages.
    """

    ids: dict[Colour, int]
    tolerance: int
    others: str | None
    where: str

    @property
    def exact(self) -> bool:
        """Whether nothing but these colours is let through."""
        return self.tolerance == 0 and self.others is None

    def of(self, raster: Raster, path: Path) -> NDArray[Any]:
        """(H, W) ids of the classes whose colours the pixels have; 255 = void.

        Args:
            raster: a picture of 8 or 16 bits a channel, grey, of colours, or with a palette; alpha must be opaque.
            path: for messages.

        Raises:
            DataError: another picture, transparent pixels, or colours that are none of these; it counts and names them.
        """
        rgb = _rgb(raster, path)
        codes = rgb[..., 0] << 16 | rgb[..., 1] << 8 | rgb[..., 2]
        found, place, counts = np.unique(codes, return_inverse=True, return_counts=True)
        ids = self._ids(found)
        if (ids < 0).any():
            raise self._unknown(found[ids < 0], counts[ids < 0], codes.size, path)
        return ids.astype(type_holding(self.ids.values()))[place].reshape(codes.shape)

    def _ids(self, codes: NDArray[np.uint32]) -> NDArray[np.int64]:
        """The id of each colour, -1 where it is refused."""
        known = {_code(colour): id_ for colour, id_ in self.ids.items()}
        ids = np.array([known.get(int(code), -1) for code in codes], np.int64)
        odd = np.flatnonzero(ids < 0)
        if self.exact or not odd.size:
            return ids
        colours = np.array(list(self.ids), np.int64)
        own = np.array(list(self.ids.values()), np.int64)
        for start in range(0, odd.size, 4096):  # a JPEG may have a hundred thousand colours
            some = odd[start : start + 4096]
            apart = np.abs(_split(codes[some])[:, None] - colours[None])
            nearest = (apart**2).sum(axis=2).argmin(axis=1)
            close = apart.max(axis=2) <= self.tolerance
            within = close[np.arange(some.size), nearest]
            rest = {"void": VOID, "nearest": own[nearest]}.get(self.others or "", -1)
            ids[some] = np.where(within, own[nearest], rest)
        return ids

    def _unknown(self, codes: NDArray[np.uint32], counts: NDArray[np.int64], pixels: int, path: Path) -> DataError:
        """The error that names the commonest of the colours that are none of these."""
        order = np.argsort(-counts, kind="stable")
        shown = ", ".join(f"{_split(codes[i : i + 1])[0].tolist()} ({counts[i]} pixels)" for i in order[:SHOWN])
        more = ", ..." if len(codes) > SHOWN else ""
        number = f"{len(codes)} colours" if len(codes) > 1 else "1 colour"
        share = f"{percent(float(counts.sum()) / pixels)} of all pixels"
        name = "name it" if len(codes) == 1 else "name them"
        advice = f"{name} in the task's 'colours', or in 'colours' or 'void_colours' of {self.where}"
        if len(codes) >= MANY:
            advice = (
                "so many are mixtures, of smoothed edges or of JPEG: save it as PNG without smoothing, or say in "
                f"{self.where} 'tolerance: 32' with 'others: void' (mixtures are void) or 'others: nearest'"
            )
        return DataError(f"{path}: {number} of no class, {shown}{more}, {share}; {advice}")


def _rgb(raster: Raster, path: Path) -> NDArray[np.uint32]:
    """(H, W, 3) of 8 bits, however they are stored."""
    array = raster.array
    if raster.palette is not None:
        return raster.palette[array].astype(np.uint32)
    if raster.full in COARSE and array.ndim == 2:
        return np.repeat(array.astype(np.uint32)[..., None] * (255 // raster.full), 3, axis=2)
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


def _split(codes: NDArray[np.uint32]) -> NDArray[np.int64]:
    """(n, 3) red, green and blue."""
    return np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=1).astype(np.int64)
