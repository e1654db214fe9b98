"""Input pictures of every mode: what is seen, as 8 bits of RGB, or one line on what was found."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from tests.data.formats.written import chunk, palette, png
from vtadapt.data.readers.raw.door import read_map
from vtadapt.data.readers.raw.rgb import read_rgb
from vtadapt.errors import DataError

COLOUR = (9, 99, 199)
GREY = 83  # of that colour, as Pillow weighs it (ITU-R 601-2)


@pytest.mark.parametrize(
    ("mode", "suffix", "wanted"),
    [
        ("RGB", ".png", COLOUR),
        ("RGB", ".bmp", COLOUR),
        ("RGB", ".webp", COLOUR),
        ("RGB", ".tif", COLOUR),
        ("RGBA", ".png", COLOUR),
        ("RGBA", ".tif", COLOUR),
        ("CMYK", ".tif", COLOUR),
        ("CMYK", ".jpg", COLOUR),
        ("YCbCr", ".jpg", COLOUR),
        ("L", ".png", (GREY,) * 3),
        ("L", ".jpg", (GREY,) * 3),
        ("LA", ".png", (GREY,) * 3),
        ("LA", ".tif", (GREY,) * 3),
    ],
)
def test_modes(tmp_path: Path, mode: str, suffix: str, wanted: tuple[int, ...]) -> None:
    image = Image.new("RGB", (16, 8), COLOUR)
    image = image.convert(mode)
    image.save(tmp_path / f"a{suffix}", **({"lossless": True} if suffix == ".webp" else {}))
    found = read_rgb(tmp_path / f"a{suffix}")
    assert (found.shape, found.dtype) == ((8, 16, 3), np.uint8)
    tolerance = 3 if suffix == ".jpg" or mode == "CMYK" else 0
    assert np.abs(found.astype(int) - wanted).max() <= tolerance


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_palettes_and_grey_of_few_bits_as_they_are_seen(tmp_path: Path, bits: int) -> None:
    index = np.arange(16).reshape(2, 8) % (1 << bits)
    colours = np.random.default_rng(0).integers(0, 256, (1 << bits, 3))
    (tmp_path / "p.png").write_bytes(png(bits, 3, index, palette(colours.ravel().tolist())))
    np.testing.assert_array_equal(read_rgb(tmp_path / "p.png"), colours[index])
    (tmp_path / "g.png").write_bytes(png(bits, 0, index, chunk(b"tRNS", b"\0\1")))
    grey = index * (255 // ((1 << bits) - 1))
    np.testing.assert_array_equal(read_rgb(tmp_path / "g.png"), np.repeat(grey[..., None], 3, axis=2))


def test_sixteen_bits_are_scaled_to_eight(tmp_path: Path) -> None:
    values = (np.arange(24).reshape(2, 4, 3) * 2731).astype(np.uint16)
    assert cv2.imwrite(str(tmp_path / "a.png"), values[..., ::-1])
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="rgb")
    for name in ("a.png", "a.tif"):
        np.testing.assert_array_equal(read_rgb(tmp_path / name), np.rint(values / 257))
    Image.fromarray(values[..., 0]).save(tmp_path / "g.png")
    tifffile.imwrite(tmp_path / "g.tif", values[..., 0])
    for name in ("g.png", "g.tif"):
        np.testing.assert_array_equal(read_rgb(tmp_path / name)[..., 2], np.rint(values[..., 0] / 257))


RGBA16 = np.random.default_rng(0).integers(0, 65536, (64, 72, 4)).astype(np.uint16)


def rgb_tiff(path: Path, array: np.ndarray) -> None:
    tifffile.imwrite(path, array, photometric="rgb")


def by_opencv(path: Path, array: np.ndarray) -> None:
    assert cv2.imwrite(str(path), array[..., [2, 1, 0, 3][: array.shape[2]]])


def in_jpeg2000(path: Path, array: np.ndarray) -> None:
    without_losses = [cv2.IMWRITE_JPEG2000_COMPRESSION_X1000, 1000]
    assert cv2.imwrite(str(path), array[..., ::-1], without_losses)


def ppm(largest: int) -> Callable[[Path, np.ndarray], None]:
    def write(path: Path, array: np.ndarray) -> None:
        header = f"P6 # of a camera\n{array.shape[1]} {array.shape[0]} {largest}\n"
        path.write_bytes(header.encode() + array.astype(">u2").tobytes())

    return write


@pytest.mark.parametrize(
    ("suffix", "write", "channels", "largest"),
    [
        (".png", by_opencv, 3, 65535),
        (".png", by_opencv, 4, 65535),
        (".tif", rgb_tiff, 3, 65535),
        (".tif", rgb_tiff, 4, 65535),
        (".tif", lambda path, array: rgb_tiff(path, np.moveaxis(array, -1, 0)), 3, 65535),
        (".tif", lambda path, array: tifffile.imwrite(path, array, photometric="rgb", compression="zlib"), 3, 65535),
        (".jp2", in_jpeg2000, 3, 65535),
        (".ppm", ppm(65535), 3, 65535),
        (".ppm", ppm(4095), 3, 4095),
    ],
)
def test_colours_of_sixteen_bits_are_scaled_or_are_refused_where_they_would_be_black(
    tmp_path: Path, suffix: str, write: Callable[[Path, np.ndarray], None], channels: int, largest: int
) -> None:
    array, path = RGBA16[..., :channels] & largest, tmp_path / f"a{suffix}"
    write(path, array)
    np.testing.assert_array_equal(read_rgb(path), np.rint(array[..., :3] * (255 / largest)))
    top = (largest + 1) // 16 - 1  # 12 bits of 16
    write(path, array % top + 1)
    with pytest.raises(DataError, match=rf"up to {(array[..., :3] % top).max() + 1} only"):
        read_rgb(path)
    write(path, array * 0)
    assert not read_rgb(path).any()


@pytest.mark.parametrize(
    ("array", "options", "words"),
    [
        (RGBA16[..., :3] / np.float32(65535), {"photometric": "rgb"}, "float32 with 3 channels"),
        (RGBA16[..., 0] / 65535, {"photometric": "minisblack"}, "float64 with 1 channel"),
        (RGBA16[..., :3].astype(np.uint32), {"photometric": "rgb"}, "uint32 with 3 channels"),
        (RGBA16.astype(np.uint8), {"photometric": "minisblack", "planarconfig": "contig"}, "uint8 with 4 channels"),
    ],
)
def test_a_sound_tiff_that_is_no_picture_says_what_it_holds(
    tmp_path: Path, array: np.ndarray, options: dict, words: str
) -> None:
    tifffile.imwrite(tmp_path / "a.tif", array, **options)
    with pytest.raises(DataError, match=rf"a\.tif: TIFF of {words}, .*wanted"):
        read_rgb(tmp_path / "a.tif")


def test_grey_with_alpha_of_sixteen_bits(tmp_path: Path) -> None:
    options = {"photometric": "minisblack", "planarconfig": "contig", "extrasamples": ["unassalpha"]}
    tifffile.imwrite(tmp_path / "a.tif", RGBA16[..., :2], **options)
    np.testing.assert_array_equal(read_rgb(tmp_path / "a.tif")[..., 1], np.rint(RGBA16[..., 0] / 257))


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.full((4, 5), 0.5, np.float32), "floating-point"),
        (np.full((4, 5), 100_000, np.int32), "32-bit numbers"),
        (np.full((4, 5), -1, np.int32), "32-bit numbers"),
        (np.full((4, 5), 200, np.uint16), "up to 200"),  # 8 bits in a file of 16: all black
        (np.full((4, 5), 4095, np.uint16), "up to 4095"),  # 12 bits: nearly
        (np.full((4, 5), 200, np.int32), "up to 200"),
    ],
)
def test_numbers_without_a_known_range_are_no_picture(tmp_path: Path, array: np.ndarray, words: str) -> None:
    Image.fromarray(array).save(tmp_path / "a.tif")
    with pytest.raises(DataError, match=rf"a\.tif: .*{words}.*8 bits"):
        read_rgb(tmp_path / "a.tif")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        (b"\n<!DOCTYPE html><html></html>", "HTML"),
        (b"%PDF-1.7", "PDF"),
        (b"\x93NUMPY\1\0", "array of NumPy"),
        (b"\x76\x2f\x31\x01" + bytes(90), "OpenEXR"),
        (b"PK\x03\x04" + bytes(90), "zip archive"),
        (b"just a text", "no picture of a known format"),
    ],
)
def test_what_is_no_picture_is_named(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(DataError, match=rf"a\.jpg: .*{words}"):
        read_rgb(tmp_path / "a.jpg")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP", "JPEG2000", "AVIF"])
def test_pictures_that_are_cut_short_are_named(tmp_path: Path, kind: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(noise).convert("P" if kind == "GIF" else "RGB").save(stream, format=kind)
    data = stream.getvalue()
    for share in (0.1, 0.5, 0.9):
        (tmp_path / "a.jpg").write_bytes(data[: int(len(data) * share)])
        with pytest.raises(DataError, match=r"a\.jpg: ") as caught:
            read_rgb(tmp_path / "a.jpg")
        assert "\n" not in str(caught.value)


def test_heic_without_its_reader_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    (tmp_path / "a.jpg").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64))
    with pytest.raises(DataError, match=r"a\.jpg: HEIC picture; .*vtadapt\[heic\]"):
        read_rgb(tmp_path / "a.jpg")


def test_heic_with_its_reader(tmp_path: Path) -> None:
    heif = pytest.importorskip("pillow_heif", reason="the optional reader of HEIC is not installed")
    heif.register_heif_opener()
    Image.new("RGB", (64, 48), COLOUR).save(tmp_path / "a.heic")
    found = read_rgb(tmp_path / "a.heic")
    assert np.abs(found.astype(int) - COLOUR).max() <= 4
    with pytest.raises(DataError, match=r"a\.heic: .*changes"):
        read_map(tmp_path / "a.heic")
