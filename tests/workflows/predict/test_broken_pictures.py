"""A folder with everything that can go wrong with a picture: each is named, the others go on."""

from __future__ import annotations

import io
import os
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, features

from vtadapt.errors import LONGEST
from vtadapt.workflows.predict.image import read_image
from vtadapt.workflows.predict.inputs import BrokenImageError, LargeImageError


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(height: int, width: int, *chunks: bytes) -> bytes:
    """A PNG whose header says that size, with nearly no pixels in it."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = b"".join(chunks) or chunk(b"IDAT", zlib.compress(b"\0" * 100))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + body + chunk(b"IEND", b"")


def saved(kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    random = np.random.default_rng(0)
    Image.fromarray(random.integers(0, 256, (40, 50, 3), np.uint8)).save(buffer, kind, **options)
    return buffer.getvalue()


def header(text: str, body: bytes = b"") -> bytes:
    """A NumPy file with that header."""
    padded = text.encode() + b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(padded)) + padded + body


def iccp() -> bytes:
    """A compressed colour profile whose name does not end."""
    return png(4, 4, chunk(b"iCCP", b"n" * 90), chunk(b"IDAT", zlib.compress(b"\0" * 52)))


def tiff(**tags: int) -> bytes:
    """A TIFF of one strip, with some of its tags changed (by number: t257=...)."""
    wanted = {256: 4, 257: 4, 258: 8, 259: 1, 262: 1, 273: 200, 277: 1, 278: 4, 279: 16}
    wanted |= {int(key[1:]): value for key, value in tags.items()}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(wanted.items()))
    data = b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", len(wanted)) + entries + struct.pack("<I", 0)
    return data.ljust(200, b"\0") + bytes(16)


BROKEN: dict[str, Callable[[], bytes]] = {
    "empty.png": bytes,
    "zeros.jpg": lambda: bytes(4096),
    "text.png": lambda: b"hello",
    "page.jpg": lambda: b"<!DOCTYPE html><html>404</html>",
    "cut.jpg": lambda: saved("JPEG")[:-900],
    "cut.png": lambda: saved("PNG")[:-900],
    "cut.webp": lambda: saved("WEBP")[:-300],
    "cut.tif": lambda: saved("TIFF")[:300],
    "flipped.png": lambda: saved("PNG")[:700] + b"!" + saved("PNG")[701:],
    "bomb.png": lambda: png(60_000, 60_000),
    "negative.png": lambda: png(2**31 + 5, 3),
    "nothing.png": lambda: png(0, 0),
    "iccp.png": iccp,
    "text-bomb.png": lambda: png(4, 4, chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(80 << 20)))),
    "huge.tif": lambda: tiff(t256=2**31, t257=2**31),
    "strips.tif": lambda: tiff(t273=2**32 - 1),
    "bits.tif": lambda: tiff(t258=0),
    "samples.tif": lambda: tiff(t277=65535),
    "scheme.tif": lambda: tiff(t259=34712),
    "header.png": lambda: header("{'descr': '<f4', 'fortran_order': False, 'shape': (10000000000,), }"),
    "palette.bmp": lambda: saved("BMP")[:20] + b"\xff" * 30,
    "bomb.gif.jpg": lambda: b"GIF89a" + struct.pack("<HH", 65535, 65535) + b"\xf7\0\0",
    "drawing.jpg": lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
    "page.tif": lambda: b"II*\0\x08\0\0\0\1\0" + bytes(12) + struct.pack("<I", 8),
    "dds.png": lambda: b"DDS " + struct.pack("<I", 124) + b"\xff" * 120,
    "heic.heic": lambda: b"\0\0\0\x18ftypheic" + b"\xff" * 300,
}
if features.check("avif"):
    BROKEN["cut.avif"] = lambda: saved("AVIF")[:250]
    BROKEN["flipped.avif"] = lambda: saved("AVIF")[:60] + b"\xff" * 60 + saved("AVIF")[120:]


@pytest.mark.parametrize("name", BROKEN)
def test_it_is_named_in_one_short_line(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(BROKEN[name]())
    with pytest.raises(BrokenImageError) as caught:
        read_image(tmp_path / name)
    text = str(caught.value)
    assert name in text
    assert "\n" not in text
    assert len(text) < LONGEST


@pytest.mark.parametrize("command", ["predict", "visualize-attention"])
def test_a_folder_of_them(cli: Callable[..., Any], tiny: Any, tmp_path: Path, command: str) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    wanted = [name for name in BROKEN if not name.endswith((".bmp", ".avif"))] + ["nowhere.png", "pipe.jpg"]
    for name in wanted[:-2]:
        (folder / name).write_bytes(BROKEN[name]())
    (folder / "nowhere.png").symlink_to("gone.png")
    os.mkfifo(folder / "pipe.jpg")
    (folder / "folder.png").mkdir()
    (folder / "good.png").write_bytes(saved("PNG"))
    (folder / "wrong-suffix.jpg").write_bytes(saved("PNG"))
    if os.geteuid():
        shutil.copy(folder / "good.png", folder / "closed.png")
        (folder / "closed.png").chmod(0)
        wanted.append("closed.png")
    ran = cli(command, folder, "--run", tiny.run, "--out", out)
    assert ran.code == 3
    left_out = [line for line in ran.err.splitlines() if line.startswith("left out: ")]
    assert len(left_out) == len(wanted)
    for name in wanted:
        assert sum(f"/{name}" in line for line in left_out) == 1, name
    last = ran.err.splitlines()[-1]
    assert last.startswith(f"vtadapt: error: {len(wanted)} of {len(wanted) + 2} files could not be read")
    assert {path.name.split("_")[0] for path in out.iterdir()} == {"good", "wrong-suffix"}


def test_one_of_no_memory_does_not_end_the_others(
    cli: Callable[..., Any], tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vtadapt.workflows.predict import image

    (tmp_path / "in").mkdir()
    for name in ("a.png", "large.png"):
        (tmp_path / "in" / name).write_bytes(saved("PNG"))
    read = image.read_rgb

    def full(path: Path) -> np.ndarray:
        if path.name == "large.png":
            raise MemoryError
        return read(path)

    monkeypatch.setattr(image, "read_rgb", full)
    ran = cli("predict", tmp_path / "in", "--run", tiny.run, "--out", tmp_path / "out")
    assert ran.code == 3
    assert [Path(line).stem for line in ran.out.splitlines()] == ["a_panel"]
    with pytest.raises(LargeImageError):
        read_image(tmp_path / "in" / "large.png")
    assert cli("predict", tmp_path / "in" / "large.png", "--run", tiny.run, "--out", tmp_path / "out").code == 5


@pytest.mark.parametrize(
    "command", ["predict", "visualize-attention", "report", "info", "eval", "train", "prepare-data"]
)
def test_names_that_no_disk_has(cli: Callable[..., Any], tiny: Any, command: str) -> None:
    options = ["--run", tiny.run] if command in ("predict", "visualize-attention") else []
    for name in ("x" * 5000, "y/" * 3000, "z" * 300 + ".yaml"):
        ran = cli(command, name, *options)
        assert ran.code in (2, 3, 4), (command, ran.code)
        assert ran.err.count("\n") <= 3  # of a command that is typed in the wrong way click says how it is used
        assert "Traceback" not in ran.err


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_folder_that_may_not_be_read(cli: Callable[..., Any], tiny: Any, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in").chmod(0)
    ran = cli("predict", tmp_path / "in", "--run", tiny.run, "--out", tmp_path / "out")
    (tmp_path / "in").chmod(0o755)
    assert (ran.code, ran.err.count("\n")) == (3, 1)
