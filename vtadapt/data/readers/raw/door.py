"""The one door to the numbers of a label file.

What a file is, is told from its bytes and not from its name. Nothing is widened, scaled, turned or cut: a 2-bit grey
PNG gives 0..3, a palette its indices with the colours beside them, TIFF and ``.npy`` their own types.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vtadapt.data.readers.raw.npy import load_array
from vtadapt.data.readers.raw.picture import Opened, open_picture, read_bytes
from vtadapt.data.readers.raw.png16 import SIGNATURE, check_png, png16_raster
from vtadapt.data.readers.raw.raster import ARRAY, WANTED, Raster, full_of, need_exact, need_upright, numbers
from vtadapt.data.readers.raw.tiff import TIFF, read_tiff
from vtadapt.errors import DataError

HDF5 = b"\x89HDF\r\n\x1a\n"
LOSSY = {"JPEG": "JPEG", "MPO": "JPEG", "JPEG2000": "JPEG 2000", "AVIF": "AVIF", "HEIF": "HEIC"}
EXACT = ("PNG", "TIFF", "BMP", "DIB", "PPM", "GIF", "WEBP")  # formats of pictures that keep what was written


def read_raster(path: Path, variable: str | None = None, data: bytes | None = None) -> Raster:
    """The samples of a picture, of an ``.npy`` or ``.npz`` array, or of a variable of a MATLAB v5 file.

    Args:
        path: the file.
        variable: of a ``.npz`` or ``.mat`` file that holds several.
        data: its content, where that is known.

    Raises:
        DataError: no such file, broken, several pictures or arrays in it, objects in place of numbers, too large.
    """
    data = read_bytes(path) if data is None else data
    suffix = path.suffix.lower()
    if data.startswith(HDF5):
        raise DataError(f"{path}: HDF5, wanted a picture or .npy (of MATLAB files those of version 5 are read)")
    if suffix in (".npy", ".npz", ".mat") or data.startswith((b"\x93NUMPY", b"PK\x03\x04", b"MATLAB 5.0")):
        array = load_array(path, data, variable)
        return Raster(array, ARRAY, full_of(array.dtype), suffix.lstrip(".") or ARRAY)
    if data.startswith(TIFF):
        return read_tiff(data, path)
    if data.startswith(SIGNATURE):
        header = check_png(data, path)
        # Pillow opens 16-bit colour but keeps the upper 8 bits only, without a word.
        if header.bits == 16 and header.colour_type and header.frames == 1:
            return png16_raster(data, header, path)
    return _of_picture(open_picture(path, data), data, path)


def read_map(path: Path) -> NDArray[Any]:
    """A single-channel map of whole numbers, (H, W), with the bits that are stored; palettes give their indices.

    Raises:
        DataError: as :func:`read_raster` and :func:`numbers`; floats; a format that changes numbers.
    """
    raster = read_raster(path)
    # A JPEG of class ids has ids between two classes along every border, most of which look valid.
    need_exact(raster, path, "a map of whole numbers")
    need_upright(raster, path)
    array = numbers(raster, path)
    if array.dtype.kind == "f" or array.ndim != 2:
        found = f"picture of mode {'F' if array.ndim == 2 else raster.mode}"
        raise DataError(f"{path}: {found}, wanted one channel (grey or palette) of whole numbers")
    return array.astype(np.uint8) if array.dtype == bool else array


def _of_picture(opened: Opened, data: bytes, path: Path) -> Raster:
    """What Pillow decoded, with the widening undone that it does in silence."""
    image, kind = opened.image, opened.format
    lossy = LOSSY.get(kind, "")
    if kind == "WEBP" and not _is_lossless_webp(data):
        lossy = "WebP with losses"
    # A list of what is known to be exact: a format that nobody thought of is refused, not trusted.
    if not lossy and kind not in EXACT:
        raise DataError(f"{path}: a picture of format {kind}; {WANTED}")
    mode, array, full = image.mode, np.asarray(image), 255
    inverted, palette = False, None
    if mode == "P":
        # Indices are kept: label files use palettes for the ids, and the colours are for people alone.
        palette = np.asarray(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
    elif mode == "1":
        mode, full = "L", 1
    # Whether Pillow gives 16 bits as I;16 or as I depends on its version and on the format.
    elif mode.startswith("I"):
        mode, full = "L", 65535
        if array.size and not 0 <= int(array.min()) <= int(array.max()) <= full:
            raise DataError(f"{path}: broken picture (numbers from {array.min()} to {array.max()} in 16 bits)")
        array = array.astype(np.uint16)
    elif mode == "F":
        return Raster(array, ARRAY, None, kind, orientation=opened.orientation, lossy=lossy)
    if opened.png is not None and mode == "L" and opened.png.bits in (2, 4):
        full = (1 << opened.png.bits) - 1
        # Pillow spreads 2 and 4 bits over 0..255; class 3 would be read as 255, which is void.
        array = array // np.uint8(255 // full)
    if kind == "PPM":
        array, full, inverted = _portable(array, full, data, path)
        kind = "PBM" if inverted else kind
    return Raster(array, mode, full, kind, palette, inverted, opened.orientation, lossy)


def _portable(array: NDArray[Any], full: int, data: bytes, path: Path) -> tuple[NDArray[Any], int, bool]:
    """PBM, PGM or PPM as it is stored: (samples, the largest that its header allows, whether 0 is white)."""
    # The header may have comments anywhere between its numbers.
    words = re.sub(rb"#[^\r\n]*", b" ", data[:4096]).split()
    if words[0] in (b"P1", b"P4"):
        return ~array, 1, True
    largest = int(words[3])
    if largest == full:
        return array, full, False
    if array.ndim != 2:
        raise DataError(f"{path}: PPM with numbers up to {largest}, wanted 255")
    # Pillow scales samples to the full range; this undoes it, and rint makes up for its rounding.
    return np.rint(array * (largest / full)).astype(array.dtype), largest, False


def _is_lossless_webp(data: bytes) -> bool:
    """Whether the picture of a WebP is of kind VP8L (RIFF container of the WebP specification)."""
    place = 12
    while place + 8 <= len(data):
        kind = data[place : place + 4]
        if kind in (b"VP8 ", b"VP8L"):
            return kind == b"VP8L"
        # RIFF chunks are padded to an even number of bytes, which their length does not count.
        place += 8 + (int.from_bytes(data[place + 4 : place + 8], "little") + 1) // 2 * 2
    return False
