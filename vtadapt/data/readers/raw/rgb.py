"""Pictures as people see them: 8 bits of red, green and blue, upright, however many bits are stored."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vtadapt.data.readers.raw.picture import Opened, decoding, open_picture, read_bytes, turned
from vtadapt.data.readers.raw.png16 import decode_by_opencv, png16_raster
from vtadapt.data.readers.raw.raster import Raster
from vtadapt.data.readers.raw.tiff import TIFF, read_tiff
from vtadapt.errors import DataError

SEEN = ("L", "LA", "RGB", "RGBA")  # modes of rasters that are pictures
SIZ, SSIZ = b"\xff\x4f\xff\x51", 42  # how the codestream of JPEG 2000 begins, and where the bits of a channel stand
BITS_PER_SAMPLE = 258  # the tag of TIFF
ADVICE = "8 or 16 bits per channel; scale the numbers to 0..255 and save them as 8 bits"
WANTED = f"wanted {ADVICE}"


def read_rgb(path: Path) -> NDArray[np.uint8]:
    """A picture as uint8 (H, W, 3) RGB, upright as its EXIF orientation says; see :func:`read_picture`."""
    return turned(*read_picture(path))


def rgb_of(data: bytes, name: str) -> NDArray[np.uint8]:
    """The content of a file that came by other ways than the disk, as :func:`read_rgb` gives it.

    ``name`` is for messages alone: no file of that name is opened.
    """
    return turned(*read_picture(Path(name), data))


def read_picture(path: Path, data: bytes | None = None) -> tuple[NDArray[np.uint8], int]:
    """A picture as uint8 (H, W, 3) RGB as it is stored, and its orientation; see :func:`turned`.

    16 bits become round(v / 257); alpha is dropped. ``data``: its content, where that is known.

    Raises:
        DataError: as :func:`open_picture`, but never for broken EXIF; floating-point numbers or more than 16 bits,
            whose range nothing tells; 16 bits of which only the lower 12 or fewer are used, which would be black.
    """
    data = read_bytes(path) if data is None else data
    try:
        opened = open_picture(path, data)
        bits, largest = _bits(opened), _largest(opened, data)
    except DataError:
        if not data.startswith(TIFF):
            raise
        opened, bits, largest = None, 0, 255  # one that Pillow does not know, such as of floats or of many channels
    raster: Raster | None = None
    # Of several channels Pillow keeps the upper 8 bits only, without a word.
    if opened is None or (data.startswith(TIFF) and bits == 16 and opened.image.mode in SEEN):
        raster = read_tiff(data, path)
    elif opened.png is not None and bits == 16 and opened.image.mode in SEEN:
        raster = png16_raster(data, opened.png, path)
    elif largest > 255:
        array = decode_by_opencv(data)
        return _coloured(array, largest, opened, path), opened.orientation
    if raster is not None:
        return _of_raster(raster, path), raster.orientation
    assert opened is not None
    return to_rgb(opened.image, path), opened.orientation


def to_rgb(image: Image.Image, path: Path) -> NDArray[np.uint8]:
    """A picture that Pillow decoded without loss, as :func:`read_picture` gives it."""
    if image.mode == "F":
        raise DataError(f"{path}: picture of floating-point numbers (mode F), {WANTED}")
    if image.mode.startswith("I"):
        array = np.asarray(image)
        if array.size and (array.min() < 0 or array.max() > 65535):
            raise DataError(f"{path}: picture of 32-bit numbers ({array.min()} to {array.max()}), {WANTED}")
        return eight_bits(array, 65535, path)
    with decoding(path):
        try:
            return np.asarray(image.convert("RGB"))
        except ValueError as error:  # such as LAB
            raise DataError(f"{path}: picture of mode {image.mode}, wanted grey or RGB") from error


def eight_bits(array: NDArray[Any], full: int, path: Path) -> NDArray[np.uint8]:
    """(H, W[, 1 or 3]) whole numbers 0..full as (H, W, 3) of 0..255, rounded.

    Args:
        array: the numbers.
        full: white, at most 65535.
        path: for the message.

    Raises:
        DataError: all numbers lie in the lowest sixteenth of the range: numbers of 8 or 12 bits in a file of 16.
    """
    array = array if array.ndim == 3 else array[..., None]
    top = int(array.max()) if array.size else 0
    if full > 255 and 0 < top < (full + 1) // 16:
        bits = full.bit_length()
        raise DataError(f"{path}: picture of {bits} bits with numbers up to {top} only, which is black; {WANTED}")
    scaled = (array.astype(np.uint32) * 255 + full // 2) // full
    return np.repeat(scaled.astype(np.uint8), 3 // scaled.shape[2], axis=2)


def _bits(opened: Opened) -> int:
    """Bits of a channel, of PNG and of TIFF; 8 of all others."""
    if opened.png is not None:
        return opened.png.bits
    bits = getattr(opened.image, "tag_v2", {}).get(BITS_PER_SAMPLE, 8)
    return max(bits) if isinstance(bits, tuple) else int(bits)


def _of_raster(raster: Raster, path: Path) -> NDArray[np.uint8]:
    """The colours of a raster of 8 or 16 bits, without its alpha."""
    array, full = raster.array, raster.full
    channels = array.shape[2] if array.ndim == 3 else 1
    if raster.mode not in SEEN or full not in (255, 65535) or raster.inverted:
        found = f"{array.dtype} with {channels} channel{'s' if channels > 1 else ''}"
        raise DataError(f"{path}: {raster.kind} of {found}, wanted grey or RGB (alpha is dropped), {ADVICE}")
    if raster.mode.endswith("A"):
        array = array[..., :-1]
    return eight_bits(array, full, path)


def _largest(opened: Opened, data: bytes) -> int:
    """The number of white that the header of a coloured PPM or JPEG 2000 says; 255 of all others."""
    if opened.image.mode not in ("RGB", "RGBA"):
        return 255
    if opened.format == "PPM":
        # The header may have comments anywhere between its numbers.
        return int(re.sub(rb"#[^\r\n]*", b" ", data[:4096]).split()[3])
    if opened.format == "JPEG2000" and (place := data.find(SIZ)) >= 0:
        # Ssiz of the first channel: bits less one, with the sign in the upper bit (ISO/IEC 15444-1, A.5.1).
        return int((2 << (data[place + SSIZ] & 0x7F)) - 1)
    return 255


def _coloured(array: NDArray[Any] | None, largest: int, opened: Opened, path: Path) -> NDArray[np.uint8]:
    """Colours of 9 to 16 bits, which OpenCV has read as they are stored."""
    shape = (*opened.image.size[::-1], len(opened.image.getbands()))
    if array is None or array.dtype != np.uint16 or array.shape != shape or array.max() > largest:
        found = f"{opened.format} with numbers up to {largest}"
        raise DataError(f"{path}: {found}, which cannot be read in colours; save it as PNG")
    return eight_bits(array[..., 2::-1], largest, path)
