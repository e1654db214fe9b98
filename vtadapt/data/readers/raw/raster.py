"""The samples of a label file as they are stored, and what they mean.

Where the same bytes can be read in two ways, :func:`numbers` refuses them, unless it is told which way is meant.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vtadapt.errors import DataError

Reading = Literal["stored", "grey"]
ORIENTATION = 0x0112  # the tag of EXIF and of TIFF
ARRAY = "array"  # the mode of what is no picture
COLOURED = ("RGB", "RGBA")
WANTED = "wanted PNG, TIFF, BMP, PGM or .npy, which keep every number"


class Raster(NamedTuple):
    """The samples of a file as they are stored.

    Attributes:
        array: (H, W) or (H, W, C) in the file's own type; bool for 1 bit.
        mode: "L" (grey), "P" (palette), "RGB", "RGBA", "LA", ... as Pillow calls them, whatever the bits; "array".
        full: the largest number that a sample of the file can hold; None where that means nothing (32 bits, floats).
        kind: of the file, for messages.
        palette: (n, 3) uint8, the colours of the indices.
        inverted: grey in which 0 is white.
        orientation: 1..8 as EXIF counts; ``array`` is not turned.
        lossy: the method that changed the numbers when they were stored, such as "JPEG"; "" where none did.
    """

    array: NDArray[Any]
    mode: str
    full: int | None
    kind: str
    palette: NDArray[np.uint8] | None = None
    inverted: bool = False
    orientation: int = 1
    lossy: str = ""


def full_of(dtype: np.dtype[Any]) -> int | None:
    """The largest number of a type of pictures: bool, 8 and 16 bits without a sign; None for all others."""
    return {"bool": 1, "uint8": 255, "uint16": 65535}.get(dtype.name)


def numbers(raster: Raster, path: Path, reading: Reading | None = None, hint: str = "") -> NDArray[Any]:
    """The numbers of a file with one channel, (H, W); of an array (H, W, C) all of them.

    Args:
        raster: what the file holds.
        path: for messages.
        reading: "stored" takes indices and samples as they are, "grey" the grey that is seen; None refuses a file of
            which both can be meant and which they would give different numbers of.
        hint: how the user says which one is meant.

    Raises:
        DataError: several channels, transparent pixels, two readings; the message names the file.
    """
    array, mode = raster.array, raster.mode
    if mode == "P":
        return _of_palette(raster, path, reading, hint)
    if mode == "LA":
        if (array[..., 1] != raster.full).any():
            raise DataError(f"{path}: grey picture with transparent pixels, wanted one channel without transparency")
        array, mode = array[..., 0], "L"
    if mode == "L" and raster.inverted:
        shown = raster.full - array if array.dtype != bool else ~array
        # Where both readings agree there is nothing to ask.
        if reading is None and not np.array_equal(array, shown):
            low, high = _two(array, shown)
            raise _unclear(path, f"{raster.kind} in which 0 is white: {low} is stored, {high} is seen", hint)
        return shown if reading == "grey" else array
    if mode in COLOURED and is_grey(raster):
        if reading == "grey":
            return array[..., 0]
        advice = "; its channels are equal, 'read: grey' takes one of them" if hint else ""
        raise DataError(f"{path}: picture of mode {mode}, wanted one channel{advice}")
    if mode not in ("L", ARRAY):
        raise DataError(f"{path}: picture of mode {mode}, wanted one channel (grey or palette)")
    return array


def with_used_entries(raster: Raster) -> Raster:
    """The same with a palette whose other entries are black: writers fill these with whatever they like."""
    if raster.palette is None:
        return raster
    used = np.isin(np.arange(len(raster.palette)), raster.array)
    return raster._replace(palette=np.where(used[:, None], raster.palette, np.uint8(0)))


def is_grey(raster: Raster) -> bool:
    """Whether a picture of colours has three equal channels, and no transparent pixels."""
    array = raster.array
    opaque = raster.mode == "RGB" or bool((array[..., 3] == raster.full).all())
    return opaque and bool((array[..., :3] == array[..., :1]).all())


def need_exact(raster: Raster, path: Path, what: str) -> None:
    """Raise a DataError where numbers were changed when they were stored.

    Args:
        raster: what the file holds.
        path: for the message.
        what: cannot stand that.
    """
    if raster.lossy:
        raise DataError(f"{path}: {raster.lossy}, which changes the numbers of {what}; {WANTED}")


def need_upright(raster: Raster, path: Path) -> None:
    """Raise a DataError where a label says that it must be turned: nobody knows whether its picture is, too."""
    if raster.orientation != 1:
        found = f"a label with orientation {raster.orientation} in its EXIF"
        raise DataError(f"{path}: {found}, wanted one whose stored pixels lie as those of its picture, without the tag")


def _of_palette(raster: Raster, path: Path, reading: Reading | None, hint: str) -> NDArray[Any]:
    array, palette = raster.array, raster.palette
    assert palette is not None, "a palette has colours"
    used = np.unique(array)
    if used.size and int(used[-1]) >= len(palette):
        raise DataError(f"{path}: broken picture (index {used[-1]} into a palette of {len(palette)} colours)")
    # All entries are looked at: one colour tells a palette of classes' colours. Some of these are grey, too, such as
    # those of background and cars in PASCAL VOC, and a picture may have no others. See :func:`with_used_entries`.
    is_grey = bool((palette == palette[:, :1]).all())
    same = is_grey and np.array_equal(palette[used, 0], used)
    if reading == "stored" or same:
        return array
    if reading == "grey":
        if not (palette[used] == palette[used, :1]).all():
            raise DataError(f"{path}: a palette of colours, which are no grey ('read: grey')")
        return palette[:, 0][array]
    if is_grey:
        low, high = _two(used, palette[used, 0])
        raise _unclear(path, f"palette of greys: {low} is the index, {high} the grey that is seen", hint)
    if raster.kind == "GIF":
        raise _unclear(path, "GIF, in which programs number the colours anew when they save it", hint)
    return array


def _two(stored: NDArray[Any], shown: NDArray[Any]) -> tuple[int, int]:
    """The first number that differs, in both readings."""
    where = np.flatnonzero(stored.ravel() != shown.ravel())[0]
    return int(stored.ravel()[where]), int(shown.ravel()[where])


def _unclear(path: Path, found: str, hint: str) -> DataError:
    return DataError(f"{path}: {found}; {hint or 'save it as a grey picture without a palette, 0 = black'}")
