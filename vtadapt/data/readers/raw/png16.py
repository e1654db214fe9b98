"""What a PNG says of itself, and its pixels where they have 16 bits and several channels: Pillow cuts those to 8.

The file's chunks are checked first, so that a file that was cut short or changed is told from a whole one, and so that
the bit depth is the file's own (PNG specification, W3C, sections 5 and 11.2).
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vtadapt.data.readers.raw.raster import ORIENTATION, Raster
from vtadapt.errors import DataError

SIGNATURE = b"\x89PNG\r\n\x1a\n"
CHANNELS = {0: "grey", 2: "RGB", 3: "palette", 4: "grey and alpha", 6: "RGB and alpha"}  # PNG's colour types
MODES = {0: "L", 2: "RGB", 4: "LA", 6: "RGBA"}  # of them, as Pillow names them


class PngHeader(NamedTuple):
    """What a PNG says of itself: pixels, bits per channel, and channels as PNG names them (keys of ``CHANNELS``).

    ``exif``: the content of its eXIf chunk. ``frames``: pictures of an animation, else 1.
    """

    height: int
    width: int
    bits: int
    colour_type: int
    exif: bytes = b""
    frames: int = 1


def read_png16(path: Path, allowed: tuple[int, ...], wanted: str) -> NDArray[np.uint16]:
    """A 16-bit PNG with all its channels and bits.

    Args:
        path: the file.
        allowed: colour types that will do, out of ``CHANNELS``.
        wanted: what the file should be, for the message.

    Returns:
        (H, W) uint16 for grey, else (H, W, C) uint16 in the file's order (red first).

    Raises:
        DataError: no such file, no PNG, cut short or changed, another bit depth or other channels, too large.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({' '.join(str(error).split())[:120]})") from error
    header = check_png(data, path)
    if header.bits != 16 or header.colour_type not in allowed:
        found = f"{header.bits}-bit picture ({CHANNELS.get(header.colour_type, header.colour_type)})"
        raise DataError(f"{path}: {found}, wanted {wanted}")
    return decode_png16(data, header, path)


def decode_png16(data: bytes, header: PngHeader, path: Path) -> NDArray[np.uint16]:
    """The pixels of a 16-bit PNG whose chunks were checked; see :func:`read_png16`."""
    array = decode_by_opencv(data)
    if array is None or array.dtype != np.uint16 or array.shape[:2] != (header.height, header.width):
        raise DataError(f"{path}: broken picture (its pixels cannot be decoded)")
    if array.ndim == 3:  # OpenCV gives blue first, and alpha last as in the file
        array = array[..., [2, 1, 0, *range(3, array.shape[2])]]
    return np.asarray(array, np.uint16)


def png16_raster(data: bytes, header: PngHeader, path: Path) -> Raster:
    """The samples of a 16-bit PNG in colours whose chunks were checked; see :func:`read_png16`."""
    array = decode_png16(data, header, path)
    mode = MODES.get(header.colour_type, "L")
    array = array[..., [0, 3]] if mode == "LA" else array  # OpenCV gives grey three times
    return Raster(array, mode, 65535, "PNG", orientation=_exif(header.exif))


def _exif(content: bytes) -> int:
    """The orientation that the content of a PNG's eXIf chunk says; 1 where it says none."""
    try:
        exif = Image.Exif()
        exif.load(content)
        found = exif.get(ORIENTATION, 1)
    except Exception:  # broken EXIF raises what its bytes lead to, and says nothing
        return 1
    return found if found in range(1, 9) else 1


def decode_by_opencv(data: bytes) -> NDArray[Any] | None:
    """What OpenCV reads of a picture, nothing converted or turned, blue first; None where it cannot."""
    import cv2  # only some files need it, and it is slow to import

    # OpenCV writes its own lines to stderr about broken files.
    told = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # broken files are told in one line of ours
    try:
        array: NDArray[Any] | None = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        return None
    finally:
        cv2.utils.logging.setLogLevel(told)
    return array


def check_png(data: bytes, path: Path) -> PngHeader:
    """Walk through the chunks of a PNG: all there and their checksums right, and no more pixels than Pillow opens.

    Raises:
        DataError: it is not so; the message names ``path``.
    """
    if not data.startswith(SIGNATURE):
        raise DataError(f"{path}: broken picture (no PNG file)")
    header, pixels, place, ended, exif, frames = None, False, len(SIGNATURE), False, b"", 1
    while not ended:
        if place + 12 > len(data):
            raise DataError(f"{path}: broken picture (PNG cut short after {len(data)} bytes)")
        length, kind = struct.unpack_from(">I4s", data, place)
        body = data[place + 8 : place + 8 + length]
        checksum = data[place + 8 + length : place + 12 + length]
        place += 12 + length
        if len(checksum) < 4:
            raise DataError(f"{path}: broken picture (PNG cut short after {len(data)} bytes)")
        # Not left to the decoders, which differ in how much damage they pass over.
        if zlib.crc32(kind + body) != int.from_bytes(checksum, "big"):
            raise DataError(f"{path}: broken picture (wrong checksum in PNG chunk {kind!r})")
        if kind == b"IHDR" and length == 13:
            width, height, bits, colour_type = struct.unpack_from(">IIBB", body)
            header = PngHeader(height, width, bits, colour_type)
        elif kind == b"eXIf":
            exif = body
        elif kind == b"acTL" and length == 8:
            frames = int.from_bytes(body[:4], "big")
        pixels |= kind == b"IDAT"
        ended = kind == b"IEND"
    if header is None or not pixels:
        raise DataError(f"{path}: broken picture (PNG without pixels)")
    # OpenCV has a limit of its own that only an environment variable changes; Pillow's serves both ways of reading.
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and header.height * header.width > limit:
        found = f"{header.height}x{header.width}"
        raise DataError(f"{path}: picture too large to be opened safely ({found}, limit {limit} pixels)")
    return header._replace(exif=exif, frames=frames)
