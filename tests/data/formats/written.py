"""Ways to write one array of numbers to a file: by Pillow, OpenCV, tifffile and numpy, in every type they offer."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tifffile
from PIL import Image

Write = Callable[[Path, np.ndarray], None]
VOC = [  # the colours of PASCAL VOC, of which some are grey
    sum(((index >> 3 * bit + channel) & 1) << 7 - bit for bit in range(8))
    for index in range(256)
    for channel in range(3)
]


@dataclass(frozen=True)
class Writer:
    """One way: ``name`` begins with the suffix; ``dtype`` is what it keeps, up to ``top`` where that is less."""

    name: str
    dtype: Any
    write: Write
    top: int | None = None

    @property
    def suffix(self) -> str:
        return self.name.split()[0]


def png(bits: int, colour_type: int, samples: np.ndarray, chunks: bytes = b"") -> bytes:
    """A PNG of any bit depth; ``samples`` (H, W) or (H, W, C)."""
    height, width = samples.shape[:2]
    rows = samples.reshape(height, -1)
    if bits < 8:
        spread = (rows[..., None] >> np.arange(bits)[::-1] & 1).reshape(height, -1)
        lines = np.packbits(spread.astype(np.uint8), axis=1)
    else:
        lines = rows.astype(f">u{bits // 8}").view(np.uint8).reshape(height, -1)
    raw = b"".join(b"\0" + line.tobytes() for line in lines)
    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunks
        + chunk(b"IDAT", zlib.compress(raw))
        + chunk(b"IEND", b"")
    )


def chunk(kind: bytes, body: bytes) -> bytes:
    """One chunk of a PNG."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def palette(colours: list[int]) -> bytes:
    """The chunk of a PNG that holds its palette."""
    return chunk(b"PLTE", bytes(colours))


def _png(bits: int) -> Write:
    return lambda path, array: path.write_bytes(png(bits, 0, array.astype(np.uint32))) and None


def _png_palette(bits: int) -> Write:
    chunks = palette(VOC[: 3 << bits])
    return lambda path, array: path.write_bytes(png(bits, 3, array.astype(np.uint32), chunks)) and None


def _pillow(mode: str | None = None, **options: Any) -> Write:
    def write(path: Path, array: np.ndarray) -> None:
        if mode == "P":
            image = Image.fromarray(array)
            image = Image.frombytes("P", image.size, array.tobytes())
            image.putpalette(VOC)
        elif mode == "LA":
            image = Image.fromarray(np.stack([array, np.full_like(array, 255)], axis=-1))
        elif mode == "RGB":
            image = Image.fromarray(np.stack([array] * 3, axis=-1))
        else:
            image = Image.fromarray(array)
        image.save(path, **options)

    return write


def _cv2(*options: int) -> Write:
    def write(path: Path, array: np.ndarray) -> None:
        assert cv2.imwrite(str(path), array, list(options))

    return write


def _tifffile(**options: Any) -> Write:
    return lambda path, array: tifffile.imwrite(path, array, **options)


def _tifffile_rgb(plane: str) -> Write:
    def write(path: Path, array: np.ndarray) -> None:
        channels = np.stack([array] * 3, axis=-1 if plane == "contig" else 0)
        tifffile.imwrite(path, channels, photometric="rgb", planarconfig=plane)

    return write


def _npy(change: Callable[[np.ndarray], np.ndarray] = lambda a: a) -> Write:
    return lambda path, array: np.save(path, change(array))


TYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float16", "float32", "float64")
PNGS = [Writer(f".png of {bits} bits", np.uint16, _png(bits), (1 << bits) - 1) for bits in (1, 2, 4, 8, 16)]
PNGS += [Writer(f".png palette of {bits} bits", np.uint8, _png_palette(bits), (1 << bits) - 1) for bits in (1, 2, 4, 8)]
PILLOW = [
    Writer(".png Pillow 1", bool, _pillow()),
    Writer(".png Pillow L", np.uint8, _pillow()),
    Writer(".png Pillow P", np.uint8, _pillow("P")),
    Writer(".png Pillow P optimised", np.uint8, _pillow("P", optimize=True)),
    Writer(".png Pillow LA", np.uint8, _pillow("LA")),
    Writer(".png Pillow I;16", np.uint16, _pillow()),
    Writer(".png Pillow I", np.int32, _pillow(), 65535),
    Writer(".png Pillow RGB", np.uint8, _pillow("RGB")),
    Writer(".bmp Pillow 1", bool, _pillow()),
    Writer(".bmp Pillow L", np.uint8, _pillow()),
    Writer(".bmp Pillow P", np.uint8, _pillow("P")),
    Writer(".dib Pillow L", np.uint8, _pillow()),
    Writer(".pbm Pillow 1", bool, _pillow()),
    Writer(".pgm Pillow L", np.uint8, _pillow()),
    Writer(".pgm Pillow I;16", np.uint16, _pillow()),
    Writer(".pgm Pillow I", np.int32, _pillow(), 65535),
    Writer(".pfm Pillow F", np.float32, _pillow()),
    Writer(".gif Pillow L", np.uint8, _pillow()),
    Writer(".gif Pillow P", np.uint8, _pillow("P")),
    Writer(".webp Pillow without losses", np.uint8, _pillow("RGB", lossless=True)),
    Writer(".jp2 Pillow L", np.uint8, _pillow()),
    Writer(".jp2 Pillow I;16", np.uint16, _pillow()),
    Writer(".tga Pillow L", np.uint8, _pillow()),
    Writer(".pcx Pillow L", np.uint8, _pillow()),
    Writer(".sgi Pillow L", np.uint8, _pillow()),
    Writer(".im Pillow I", np.int32, _pillow()),
    Writer(".spider Pillow F", np.float32, _pillow(format="SPIDER")),
]
PILLOW += [
    Writer(f".tif Pillow {mode} {compression}", dtype, _pillow(mode, compression=compression))
    for compression in ("raw", "tiff_lzw", "tiff_deflate", "tiff_adobe_deflate", "packbits", "lzma", "zstd")
    for mode, dtype in (("", bool), ("", np.uint8), ("P", np.uint8), ("LA", np.uint8), ("RGB", np.uint8))
    + (("", np.uint16), ("", np.int32), ("", np.float32))
]
PILLOW += [Writer(f".tif Pillow 1 {fax}", bool, _pillow(compression=fax)) for fax in ("group3", "group4", "tiff_ccitt")]
OPENCV = [
    *(Writer(f".png OpenCV {t}", np.dtype(t), _cv2()) for t in ("uint8", "uint16")),
    *(Writer(f"{s} OpenCV", np.uint8, _cv2()) for s in (".bmp", ".pgm", ".pbm", ".ras")),
    Writer(".pgm OpenCV uint16", np.uint16, _cv2()),
    Writer(".pfm OpenCV", np.float32, _cv2()),
    Writer(".png OpenCV 1 bit", np.uint8, _cv2(cv2.IMWRITE_PNG_BILEVEL, 1), 1),
    Writer(".webp OpenCV", np.uint8, _cv2(cv2.IMWRITE_WEBP_QUALITY, 101)),
    *(
        Writer(f".tiff OpenCV {t} compression {way}", np.dtype(t), _cv2(cv2.IMWRITE_TIFF_COMPRESSION, way))
        for t in ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64")
        for way in (1, 5, 8, 32946)
    ),
]
TIFFFILE = [
    Writer(f".tif tifffile {t} {how}", np.dtype(t), _tifffile(**options))
    for t in ("bool", *TYPES)
    for how, options in {
        "plain": {},
        "Deflate": {"compression": "zlib"},
        "LZMA": {"compression": "lzma"},
        "big-endian": {"byteorder": ">"},
        "BigTIFF": {"bigtiff": True},
        "0 is white": {"photometric": "miniswhite"},
        "tiles": {"tile": (16, 16)},
        "strips": {"rowsperstrip": 1},
        "without its name": {"software": False, "metadata": None},
    }.items()
]
TIFFFILE += [
    Writer(f".tif tifffile RGB {t} {plane}", np.dtype(t), _tifffile_rgb(plane))
    for t in ("uint8", "uint16")
    for plane in ("contig", "separate")
]
NUMPY = [
    *(Writer(f".npy {t}", np.dtype(t), _npy()) for t in ("bool", *TYPES)),
    *(Writer(f".npy {t} big-endian", np.dtype(t).newbyteorder(">"), _npy()) for t in TYPES[2:]),
    Writer(".npy by columns", np.int32, _npy(np.asfortranarray)),
    Writer(".npy with an axis of length 1", np.uint16, _npy(lambda a: a[..., None])),
    Writer(".npz", np.int64, lambda path, array: np.savez_compressed(path, label=array)),
    Writer(".npz of two", np.uint8, lambda path, array: np.savez(path, a=array, b=array)),
]
WRITERS = [*PNGS, *PILLOW, *OPENCV, *TIFFFILE, *NUMPY]
