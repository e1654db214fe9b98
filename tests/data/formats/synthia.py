"""SYNTHIA-RAND-CITYSCAPES as its archive unpacks, with small pictures; 16-bit colour PNG are written byte by byte."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

SIZE = (76, 128)  # published: 760 x 1280


@dataclass(frozen=True)
class Truth:
    """What was written for one picture: RGB, class ids 0..22, and depth in whole centimetres (0 = missing)."""

    image: np.ndarray
    ids: np.ndarray
    centimetres: np.ndarray


def png_bytes(array: np.ndarray, bits: int = 16) -> bytes:
    """An uninterlaced PNG of (H, W) or (H, W, C) numbers; 2, 3 or 4 channels mean grey-alpha, RGB, RGBA."""
    array = array[..., None] if array.ndim == 2 else array
    colour_type = {1: 0, 2: 4, 3: 2, 4: 6}[array.shape[2]]
    rows = array.astype(">u2" if bits == 16 else "u1")
    packed = b"".join(b"\0" + row.tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", array.shape[1], array.shape[0], bits, colour_type, 0, 0, 0)

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    data = zlib.compress(packed)
    parts = [chunk(b"IDAT", data[i : i + 4000]) for i in range(0, len(data), 4000)]
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(parts) + chunk(b"IEND", b"")


def write_synthia(root: Path, count: int, *, nested_depth: bool = True, grey_depth: bool = False) -> dict[str, Truth]:
    """RGB, GT/LABELS, GT/COLOR and Depth/Depth (or Depth); returns the truth by name.

    Red of LABELS is the class (all of 0..22 occur), green the instance (beyond 8 bits, too), blue 0.
    """
    random = np.random.default_rng(5)
    depth_folder = root / "Depth" / "Depth" if nested_depth else root / "Depth"
    for folder in (root / "RGB", root / "GT" / "LABELS", root / "GT" / "COLOR", depth_folder):
        folder.mkdir(parents=True)
    truth = {}
    for i in range(count):
        name = f"{i:07d}.png"
        image = random.integers(0, 256, (*SIZE, 3), dtype=np.uint8)
        labels = np.zeros((*SIZE, 3), np.uint16)
        labels[..., 0] = random.integers(0, 23, SIZE)
        labels[0, :23, 0] = np.arange(23)
        labels[..., 1] = random.integers(0, 60000, SIZE)
        depth = random.integers(1, 65535, SIZE).astype(np.uint16)
        depth[2, :3] = 0, 65535, 65534
        Image.fromarray(image).save(root / "RGB" / name)
        Image.fromarray(image).save(root / "GT" / "COLOR" / name)
        (root / "GT" / "LABELS" / name).write_bytes(png_bytes(labels))
        stored = depth if grey_depth else np.repeat(depth[..., None], 3, axis=2)
        (depth_folder / name).write_bytes(png_bytes(stored))
        centimetres = depth.astype(np.int64)
        centimetres[depth == 65535] = 0
        truth[name.removesuffix(".png")] = Truth(image, labels[..., 0].copy(), centimetres)
    return truth
