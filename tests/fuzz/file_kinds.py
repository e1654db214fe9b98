"""Pictures, arrays, MATLAB files and videos: whole ones of many formats, and the doors that read them."""

from __future__ import annotations

import contextlib
import io
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random

import cv2
import numpy as np
import scipy.io
import tifffile
from PIL import Image, features

from tests.data.formats.bsds500 import write_mat as write_annotation
from tests.fuzz.mutate import damaged
from vtadapt.data.readers.raw import mat
from vtadapt.data.readers.raw.door import read_map, read_raster
from vtadapt.data.readers.raw.rgb import read_rgb
from vtadapt.errors import VtadaptError
from vtadapt.workflows.predict.image import read_image
from vtadapt.workflows.predict.video.frames import VideoOptions, announced, no_frame, open_video, rate_of, read_frames

Seeds = list[Path]
SIZE = (13, 17)  # odd, as are few


def make_pictures(folder: Path) -> Seeds:
    """One of each format and mode that is read, and some that are not."""
    random = np.random.default_rng(3)
    rgb = Image.fromarray(random.integers(0, 256, (*SIZE, 3), np.uint8))
    grey = rgb.convert("L")
    deep = random.integers(0, 65536, SIZE, np.uint16)
    exif = Image.Exif()
    exif[274] = 6
    wanted: dict[str, tuple[Image.Image, dict[str, object]]] = {
        "rgb.png": (rgb, {}), "grey.png": (grey, {}), "palette.png": (rgb.convert("P"), {"transparency": 3}),
        "deep.png": (Image.fromarray(deep), {}), "two.png": (grey.quantize(4), {"bits": 2}),
        "alpha.png": (rgb.convert("RGBA"), {"exif": exif}), "icc.png": (rgb, {"icc_profile": bytes(300)}),
        "plain.jpg": (rgb, {}), "turned.jpg": (rgb, {"exif": exif, "progressive": True}),
        "ink.jpg": (rgb.convert("CMYK"), {"quality": 60}), "grey.jpg": (grey, {"comment": b"c" * 50}),
        "a.bmp": (rgb, {}), "p.bmp": (rgb.convert("P"), {}), "a.gif": (grey, {}), "a.ppm": (rgb, {}),
        "a.pgm": (grey, {}), "a.webp": (rgb, {"lossless": True}), "b.webp": (rgb, {"exif": exif}),
        "a.tif": (rgb, {}), "lzw.tif": (rgb, {"compression": "tiff_lzw"}), "bit.tif": (grey.convert("1"), {}),
        "jpeg.tif": (rgb, {"compression": "jpeg"}), "packed.tif": (grey, {"compression": "packbits"}),
        "a.tga": (rgb, {}), "a.dds": (rgb, {}), "a.ico": (rgb, {}), "a.pcx": (rgb, {}), "a.sgi": (rgb, {}),
        "a.im": (rgb, {}), "a.jp2": (rgb, {}), "a.xbm": (grey.convert("1"), {}), "a.msp": (grey.convert("1"), {}),
        "a.icns": (rgb.resize((16, 16)), {}), "a.eps": (rgb, {}), "a.spider": (grey.convert("F"), {"format": "SPIDER"}),
    }  # fmt: skip
    if features.check("avif"):
        wanted["a.avif"] = (rgb, {})
    for name, (image, options) in wanted.items():
        with contextlib.suppress(OSError, KeyError, ValueError):  # a format that this Pillow was built without
            image.save(folder / name, **options)
    float_ = random.random(SIZE).astype(np.float32)
    for name, array, compression in (("f.tif", float_, None), ("d.tif", deep, "zlib"), ("tile.tif", float_, "lzma")):
        tile = (16, 16) if name == "tile.tif" else None
        with contextlib.suppress(ImportError, KeyError, ValueError):
            tifffile.imwrite(folder / name, array, compression=compression, tile=tile, bigtiff=name == "d.tif")
    return sorted(folder.iterdir())


def write_picture(random: Random, seeds: Seeds, folder: Path) -> None:
    """A damaged picture, now and then under another's name."""
    seed = random.choice(seeds)
    name = random.choice(seeds).name if random.random() < 0.1 else seed.name
    (folder / name).write_bytes(damaged(random, seed.read_bytes(), [random.choice(seeds).read_bytes()]))


def read_picture(folder: Path) -> None:
    """As a photograph, as an image of a data set, and as a label."""
    [path] = folder.iterdir()
    _all(path, read_image, read_rgb, read_raster, read_map)


def make_arrays(folder: Path) -> Seeds:
    """``.npy`` of several types and orders, ``.npz`` packed and plain."""
    random = np.random.default_rng(4)
    for dtype in ("u1", "<u2", ">i4", "<f2", "<f4", ">f8", "?", "<i8"):
        array = (random.random((5, 7, 3)) * 9).astype(dtype)
        np.save(folder / f"{dtype.strip('<>?')}.npy", array if dtype == "u1" else array[..., 0])
    np.save(folder / "columns.npy", np.asfortranarray(random.random((6, 4))))
    np.savez(folder / "one.npz", x=random.random((4, 5)))
    np.savez_compressed(folder / "two.npz", x=random.random((4, 5)), y=np.arange(6).reshape(2, 3))
    for version in ((2, 0), (3, 0)):
        with (folder / f"version{version[0]}.npy").open("wb") as file:
            np.lib.format.write_array(file, np.eye(3), version=version)
    return sorted(folder.iterdir())


def write_array(random: Random, seeds: Seeds, folder: Path) -> None:
    """A damaged array."""
    seed = random.choice(seeds)
    (folder / seed.name).write_bytes(damaged(random, seed.read_bytes(), [random.choice(seeds).read_bytes()]))


def read_array(folder: Path) -> None:
    """As a label of numbers, and as a map of ids."""
    [path] = folder.iterdir()
    _all(path, read_raster, read_map, lambda path: read_raster(path, "x"))


def make_mats(folder: Path) -> Seeds:
    """MATLAB files of version 5, packed and plain, with cells, structs and texts; and of version 4."""
    random = np.random.default_rng(5)
    write_annotation(folder / "annotation.mat", [(random.random((9, 8)) < 0.3).astype(np.uint8) for _ in range(2)])
    scipy.io.savemat(folder / "plain.mat", {"x": random.random((5, 4)), "name": "text", "flag": np.array([[True]])})
    content = {"x": np.arange(12, dtype=np.int16).reshape(3, 4), "s": {"a": {"b": [1, 2]}, "c": "text"}}
    scipy.io.savemat(folder / "packed.mat", content, do_compression=True)
    scipy.io.savemat(folder / "old.mat", {"x": random.random((4, 3))}, format="4")
    return sorted(folder.iterdir())


def write_mat(random: Random, seeds: Seeds, folder: Path) -> None:
    """A damaged MATLAB file."""
    seed = random.choice(seeds)
    (folder / seed.name).write_bytes(damaged(random, seed.read_bytes(), [random.choice(seeds).read_bytes()]))


def read_mat(folder: Path) -> None:
    """As labels of a recipe, and as published annotations."""
    [path] = folder.iterdir()
    name = "groundTruth" if path.name == "annotation.mat" else "x"
    _all(path, lambda path: mat.read_mat(path, name, "an annotation"), read_raster)


def make_videos(folder: Path) -> Seeds:
    """Clips of the containers and codecs that OpenCV writes everywhere or here."""
    random = np.random.default_rng(6)
    for name, codec in (("a.avi", "MJPG"), ("b.mp4", "mp4v"), ("c.mkv", "MJPG"), ("d.mov", "mp4v"), ("e.avi", "XVID")):
        writer = cv2.VideoWriter(str(folder / name), cv2.VideoWriter.fourcc(*codec), 10, (32, 24))
        for _ in range(4):
            writer.write(random.integers(0, 256, (24, 32, 3), np.uint8))
        writer.release()
    return [path for path in sorted(folder.iterdir()) if path.stat().st_size > 1000]


def write_video(random: Random, seeds: Seeds, folder: Path) -> None:
    """A damaged clip, or a text that names other files, as FFmpeg's list formats do."""
    seed = random.choice(seeds)
    shutil.copy(seed, folder / f"other{seed.suffix}")
    if random.random() < 0.1:
        other = f"other{seed.suffix}"
        listing = random.choice((f"ffconcat version 1.0\nfile '{other}'\n", f"#EXTM3U\n{other}\n"))
        (folder / f"case{seed.suffix}").write_text(listing)
        return
    (folder / f"case{seed.suffix}").write_bytes(damaged(random, seed.read_bytes()))


def read_video(folder: Path) -> None:
    """Frame by frame, as ``predict`` does."""
    [path] = folder.glob("case.*")
    capture, frames = open_video(path), 0
    for frame in read_frames(capture, VideoOptions(limit=20)):
        frames += 1
        if frame.ndim != 3 or frame.dtype != np.uint8:
            raise AssertionError(f"a frame of {frame.dtype} {frame.shape}")
    rate_of(capture, 1), announced(capture, VideoOptions())
    capture.release()
    if not frames:
        raise no_frame(path, capture)
    if frames and path.read_bytes()[:8] in (b"ffconcat", b"#EXTM3U\n"):
        raise AssertionError("a text led to another file's frames")


def _all(path: Path, *doors: Callable[[Path], object]) -> None:
    """Go through every door; what the last documented refusal says is passed on."""
    refusal: VtadaptError | None = None
    for door in doors:
        try:
            door(path)
        except VtadaptError as error:
            check(error)
            refusal = error
    if refusal is not None:
        raise refusal


def check(error: VtadaptError) -> None:
    """A documented error is one line of decent length."""
    text = str(error)
    if "\n" in text or len(text) > 2000 or not text.strip():
        raise AssertionError(f"not one short line: {text[:200]!r} ({len(text)} characters)")


def as_bytes(image: Image.Image, kind: str) -> bytes:
    """A picture as a file of that format."""
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()
