"""The samples of a TIFF in their own type: tifffile reads its tags and, where it can, its pixels.

Compressions that tifffile wants another package for are decoded by OpenCV or Pillow, whose result must be of the type
that the tags announce; Pillow alone would widen 2 and 4 bits, turn the picture, and know neither float16 nor 64 bits.
"""

from __future__ import annotations

import io
import logging
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vtadapt.data.readers.raw.picture import count_pages, decoding, several
from vtadapt.data.readers.raw.png16 import decode_by_opencv
from vtadapt.data.readers.raw.raster import ARRAY, ORIENTATION, WANTED, Raster, full_of
from vtadapt.errors import DataError

if TYPE_CHECKING:
    from tifffile import TiffPage

TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # how its bytes begin
# None, CCITT (four ways), LZW, Deflate (two numbers), PackBits, LZMA, Zstandard: what is written comes back.
EXACT = (1, 2, 3, 4, 5, 8, 32771, 32773, 32946, 34925, 50000)
MODES = {(2, 3): "RGB", (2, 4): "RGBA", (0, 1): "L", (1, 1): "L", (1, 2): "LA", (3, 1): "P"}


def read_tiff(data: bytes, path: Path) -> Raster:
    """The samples of a TIFF file.

    Args:
        data: its content.
        path: for messages.

    Raises:
        DataError: broken, several pages, too large, a compression or a layout that cannot be read.
    """
    import tifffile

    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # what it would print of odd tags is no part of the pixels
    if (count := count_pages(data, path)) != 1:
        raise several(path, count, "TIFF")
    with decoding(path, data), tifffile.TiffFile(io.BytesIO(data)) as file:
        page: Any = file.pages.first
        limit = Image.MAX_IMAGE_PIXELS
        if limit is not None and page.imagelength * page.imagewidth > limit:
            found = f"{page.imagelength}x{page.imagewidth}"
            raise DataError(f"{path}: picture too large to be opened safely ({found}, limit {limit} pixels)")
        return _raster(page, data, path)


def _raster(page: TiffPage, data: bytes, path: Path) -> Raster:
    photometric, compression = int(page.photometric), int(page.compression)
    channels, bits = int(page.samplesperpixel), page.bitspersample
    mode = MODES.get((photometric, channels), f"TIFF with photometric {photometric} and {channels} channels")
    floats = page.dtype is not None and page.dtype.kind == "f"
    if floats and photometric in (0, 1, 2):
        mode = ARRAY
    if compression not in EXACT:
        raise DataError(f"{path}: TIFF compressed by {_name(page.compression)}, which may change numbers; {WANTED}")
    array = _decode(page, data, path)
    palette, full = None, (1 << bits) - 1 if isinstance(bits, int) and bits < 8 else full_of(array.dtype)
    if mode == "P":
        array = array.astype(np.uint8) if array.dtype == bool else array
        colours = np.asarray(page.colormap)
        palette = (colours >> 8 if colours.max() > 255 else colours).astype(np.uint8).T
    # tifffile writes 1 bit as "0 is white" without meaning white: True comes back as True.
    inverted = photometric == 0 and not floats and not str(page.software).startswith("tifffile")
    if inverted and full is None:
        raise DataError(f"{path}: TIFF of {array.dtype} in which 0 is white, wanted 0 = black")
    orientation = _tag(page, ORIENTATION, 1)
    return Raster(array, mode, full, "TIFF", palette, inverted, orientation if orientation in range(1, 9) else 1)


def _decode(page: TiffPage, data: bytes, path: Path) -> NDArray[Any]:
    """(H, W) or (H, W, C), not turned, in the type that the tags announce."""
    if page.axes not in ("YX", "YXS", "SYX") or page.dtype is None:
        raise DataError(f"{path}: TIFF with axes {page.axes} of {page.dtype}, wanted (H, W) or (H, W, C)")
    if 0 in page.databytecounts or len(page.databytecounts) != math.prod(page.chunked):
        raise DataError(f"{path}: broken picture (TIFF in which pixels are missing)")
    try:
        array: NDArray[Any] = page.asarray()
    except (KeyError, ValueError, ImportError, NotImplementedError) as error:
        if not any(words in str(error) for words in ("imagecodecs", "not supported", "No module named")):
            raise
        array = _by_others(page, data, path)
    if page.axes == "SYX":
        array = np.moveaxis(array, 0, -1)
    if array.shape[:2] != (page.imagelength, page.imagewidth) or not array.size:
        raise DataError(f"{path}: broken picture (TIFF with pixels of shape {array.shape})")
    return array


def _by_others(page: TiffPage, data: bytes, path: Path) -> NDArray[Any]:
    """The pixels of compressions that tifffile leaves to imagecodecs."""
    stored = bytearray(data)
    if ORIENTATION in page.tags:  # both would turn the picture
        place = page.tags[ORIENTATION].valueoffset
        stored[place : place + 2] = (1).to_bytes(2, "little" if page.parent.byteorder == "<" else "big")
    wanted, shape = np.dtype(page.dtype), (page.imagelength, page.imagewidth)
    whole = shape if page.samplesperpixel == 1 else (*shape, page.samplesperpixel)
    if wanted.itemsize * 8 == page.bitspersample and int(page.photometric) in (1, 2):
        array = decode_by_opencv(bytes(stored))
        if array is not None and array.dtype == wanted and array.shape == whole:
            return array if array.ndim == 2 else array[..., [2, 1, 0, *range(3, whole[-1])]]
    image = Image.open(io.BytesIO(stored))
    image.load()
    array = np.asarray(image)
    fits = {"1": 1, "L": page.bitspersample, "P": page.bitspersample}.get(image.mode) == page.bitspersample <= 8
    if not fits or array.shape != shape or wanted.kind not in "bu":
        reason = f"compressed by {_name(page.compression)}"
        raise DataError(f"{path}: TIFF of {wanted} {reason}, wanted Deflate or none (or pip install imagecodecs)")
    if int(page.photometric) == 0:  # which Pillow has turned into "0 is black"
        array = np.invert(array)
    if image.mode == "L" and page.bitspersample < 8:
        array = array // np.uint8(255 // ((1 << page.bitspersample) - 1))
    return array


def _tag(page: Any, code: int, default: int) -> int:
    """The value of a tag that holds one whole number."""
    value = page.tags.valueof(code, default=default)
    return int(value) if isinstance(value, int | np.integer) else default


def _name(compression: Any) -> str:
    return str(getattr(compression, "name", compression))
