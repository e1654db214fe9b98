from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import tifffile
from PIL import Image, ImageOps

from tests.data.formats.written import VOC, chunk, palette, png
from vtadapt.data.readers.raw.door import read_map, read_raster
from vtadapt.data.readers.raw.picture import turned
from vtadapt.data.readers.raw.raster import numbers
from vtadapt.data.readers.raw.rgb import read_rgb
from vtadapt.errors import DataError

IDS = np.array([[0, 1, 2, 3], [3, 2, 1, 0]])


def _save(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def test_few_bits_are_not_widened(tmp_path: Path) -> None:
    for bits in (1, 2, 4):
        ids = np.arange(40).reshape(5, 8) % (1 << bits)
        path = _save(tmp_path / f"{bits}.png", png(bits, 0, ids))
        np.testing.assert_array_equal(read_map(path), ids)
        assert read_raster(path).full == (1 << bits) - 1


def test_sixteen_bits_of_several_channels_are_kept(tmp_path: Path) -> None:
    values = np.arange(24, dtype=np.uint32).reshape(2, 4, 3) * 2731
    np.testing.assert_array_equal(read_raster(_save(tmp_path / "rgb.png", png(16, 2, values))).array, values)
    opaque = np.stack([IDS * 1000, np.full_like(IDS, 65535)], axis=-1)
    np.testing.assert_array_equal(read_map(_save(tmp_path / "la.png", png(16, 4, opaque))), IDS * 1000)
    with pytest.raises(DataError, match=r"la\.png: grey picture with transparent pixels"):
        read_map(_save(tmp_path / "la.png", png(16, 4, opaque // 2)))


def test_a_palette_of_colours_gives_its_indices_though_some_are_grey(tmp_path: Path) -> None:
    assert VOC[21:24] == [128, 128, 128]  # class 7 of PASCAL VOC
    path = _save(tmp_path / "voc.png", png(8, 3, np.where(IDS > 1, 7, 0), palette(VOC)))
    np.testing.assert_array_equal(read_map(path), np.where(IDS > 1, 7, 0))


def test_a_grey_palette_whose_entry_is_not_its_index_has_two_readings(tmp_path: Path) -> None:
    greys = [0, 0, 0, 10, 10, 10, 20, 20, 20, 255, 255, 255]
    path = _save(tmp_path / "grey.png", png(2, 3, IDS, palette(greys)))
    with pytest.raises(DataError, match=r"grey\.png: palette of greys: 1 is the index, 10 the grey that is seen"):
        read_map(path)
    raster = read_raster(path)
    np.testing.assert_array_equal(numbers(raster, path, "stored"), IDS)
    np.testing.assert_array_equal(numbers(raster, path, "grey"), np.array([0, 10, 20, 255])[IDS])
    ramp = [i for i in range(256) for _ in range(3)]
    np.testing.assert_array_equal(read_map(_save(tmp_path / "ramp.png", png(8, 3, IDS, palette(ramp)))), IDS)
    with pytest.raises(DataError, match=r"index 3 into a palette of 2 colours"):
        read_map(_save(tmp_path / "short.png", png(2, 3, IDS, palette(VOC[:6]))))


def test_pictures_of_gif_count_anew(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[0, 5], [5, 0]], np.uint8))
    image = Image.frombytes("P", image.size, image.tobytes())
    image.putpalette(VOC)
    image.save(tmp_path / "a.gif")
    with pytest.raises(DataError, match=r"a\.gif: GIF, in which programs number the colours anew"):
        read_map(tmp_path / "a.gif")


def test_0_as_white_has_two_readings(tmp_path: Path) -> None:
    edges = np.array([[True, False], [False, False]])
    tifffile.imwrite(tmp_path / "mine.tif", edges)  # tifffile writes bool so, and means what it stores
    np.testing.assert_array_equal(read_map(tmp_path / "mine.tif"), edges)
    tifffile.imwrite(tmp_path / "white.tif", edges, software=False, metadata=None)
    Image.fromarray(edges).save(tmp_path / "white.pbm")
    for name, stored in (("white.tif", edges), ("white.pbm", ~edges)):
        path = tmp_path / name
        with pytest.raises(DataError, match=r"in which 0 is white: [01] is stored, [01] is seen"):
            read_map(path)
        np.testing.assert_array_equal(numbers(read_raster(path), path, "stored"), stored)
        np.testing.assert_array_equal(numbers(read_raster(path), path, "grey"), ~stored)


@pytest.mark.parametrize(("largest", "top"), [(3, 3), (100, 100), (255, 255), (1000, 1000), (65535, 60000)])
def test_a_pgm_keeps_its_numbers_whatever_its_largest(tmp_path: Path, largest: int, top: int) -> None:
    values = np.array([[0, 1, 2, top]], ">u2" if largest > 255 else np.uint8)
    path = _save(tmp_path / "a.pgm", b"P5\n# a comment\n4 1\n%d\n" % largest + values.tobytes())
    np.testing.assert_array_equal(read_map(path), values)
    assert read_raster(path).full == largest
    plain = _save(tmp_path / "b.pgm", b"P2 4 1 %d\n0 1 2 %d\n" % (largest, top))
    np.testing.assert_array_equal(read_map(plain), values)


def test_what_changes_numbers_is_told_from_the_content(tmp_path: Path) -> None:
    grey = Image.fromarray(np.full((16, 16), 3, np.uint8))
    for name, kind, options in (
        ("a.png", "JPEG", {}),
        ("b.png", "WEBP", {"quality": 90}),
        ("c.png", "JPEG2000", {}),
        ("d.tif", "TIFF", {"compression": "jpeg"}),
        ("e.png", "AVIF", {}),
    ):
        grey.save(tmp_path / name, format=kind, **options)
        with pytest.raises(DataError, match=rf"{name}: .*change"):
            read_map(tmp_path / name)


def test_suffixes_are_not_believed(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", IDS)
    (tmp_path / "a.npy").rename(tmp_path / "a.png")
    np.testing.assert_array_equal(read_raster(tmp_path / "a.png").array, IDS)
    Image.fromarray(IDS.astype(np.uint8)).save(tmp_path / "b.jpg", format="PNG")
    np.testing.assert_array_equal(read_map(tmp_path / "b.jpg"), IDS)
    (tmp_path / "b.jpg").rename(tmp_path / "B.PNG")
    np.testing.assert_array_equal(read_map(tmp_path / "B.PNG"), IDS)


def test_arrays_of_several_are_asked_for(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", ids=IDS, other=IDS + 1)
    scipy.io.savemat(tmp_path / "a.mat", {"ids": IDS, "other": IDS + 1, "name": "x"})
    for name in ("a.npz", "a.mat"):
        with pytest.raises(DataError, match=rf"{name}: holds 'ids', 'other'; say which with option 'variable'"):
            read_raster(tmp_path / name)
        np.testing.assert_array_equal(read_raster(tmp_path / name, "other").array, IDS + 1)
        with pytest.raises(DataError, match=rf"{name}: .*'variable' names one that is not there|has no variable"):
            read_raster(tmp_path / name, "none")
    scipy.io.savemat(tmp_path / "b.mat", {"ids": IDS, "name": "x"})
    np.testing.assert_array_equal(read_raster(tmp_path / "b.mat").array, IDS)


def _frames(kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    frames = [Image.new("RGB", (8, 8), (i * 90, 0, 255 - i * 90)) for i in range(3)]
    frames[0].save(stream, format=kind, save_all=True, append_images=frames[1:], **options)
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_several_pictures_in_one_file_are_refused(tmp_path: Path, kind: str) -> None:
    path = _save(tmp_path / "a.png", _frames(kind))
    for read in (read_rgb, read_map):
        with pytest.raises(DataError, match=rf"a\.png: 3 pictures in one {kind} file; save the one that is meant"):
            read(path)


def test_smaller_copies_in_a_tiff_do_not_count(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(IDS.astype(np.uint8))
        file.write(IDS[:1].astype(np.uint8), subfiletype=1)
    np.testing.assert_array_equal(read_map(tmp_path / "a.tif"), IDS)
    assert read_rgb(tmp_path / "a.tif").shape == (2, 4, 3)
    with tifffile.TiffWriter(tmp_path / "b.tif") as file:
        file.write(IDS[:1].astype(np.uint8), subfiletype=1)
        file.write(IDS.astype(np.uint8))
    with pytest.raises(DataError, match=r"b\.tif: TIFF whose first picture is a smaller copy"):
        read_rgb(tmp_path / "b.tif")


def test_directories_of_a_tiff_in_a_circle_come_to_an_end(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", IDS.astype(np.uint8), metadata=None)
    data = bytearray((tmp_path / "a.tif").read_bytes())
    start = int.from_bytes(data[4:8], "little")
    end = start + 2 + 12 * int.from_bytes(data[start : start + 2], "little")
    data[end : end + 4] = data[4:8]
    for read in (read_map, read_rgb):
        with pytest.raises(DataError, match=r"a\.tif: .*circle"):
            read(_save(tmp_path / "a.tif", bytes(data)))


def test_a_bmp_of_4_bits_and_greys_is_refused(tmp_path: Path) -> None:
    head = b"BM" + (94).to_bytes(4, "little") + bytes(4) + (86).to_bytes(4, "little")
    info = (40).to_bytes(4, "little") + (8).to_bytes(4, "little") + (2).to_bytes(4, "little") + b"\1\0\4\0"
    info += bytes(4) + (8).to_bytes(4, "little") + bytes(8) + (8).to_bytes(4, "little") + bytes(4)
    greys = b"".join(bytes([i, i, i, 0]) for i in range(8))
    path = _save(tmp_path / "a.bmp", head + info + greys + bytes([0x01, 0x23, 0x45, 0x67] * 2))
    for read in (read_map, read_rgb):
        with pytest.raises(DataError, match=r"a\.bmp: (BMP of 4 bits|broken picture)"):
            read(path)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turned_is_what_pillow_makes_upright(tmp_path: Path, orientation: int) -> None:
    stored = np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(stored).save(tmp_path / "a.png", exif=exif)
    with Image.open(tmp_path / "a.png") as image:
        wanted = np.asarray(ImageOps.exif_transpose(image))
    np.testing.assert_array_equal(turned(stored, orientation), wanted)
    tifffile.imwrite(tmp_path / "a.tif", stored, extratags=[(0x0112, 3, 1, orientation, True)])
    for name in ("a.png", "a.tif"):
        np.testing.assert_array_equal(read_rgb(tmp_path / name), wanted)


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "zlib of tifffile"])
def test_a_label_is_not_turned(tmp_path: Path, compression: str) -> None:
    path = tmp_path / "a.tif"
    if compression.endswith("tifffile"):
        tifffile.imwrite(path, IDS.astype(np.uint8), compression="zlib", extratags=[(0x0112, 3, 1, 6, True)])
    else:
        Image.fromarray(IDS.astype(np.uint8)).save(path, compression=compression, tiffinfo={0x0112: 6})
    assert read_raster(path).orientation == 6
    np.testing.assert_array_equal(read_raster(path).array, IDS)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(IDS.astype(np.uint8)).save(tmp_path / "a.png", exif=exif)
    block = chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0"))
    deep = _save(tmp_path / "b.png", png(16, 2, np.stack([IDS] * 3, axis=-1), block))
    assert read_raster(deep).orientation == 6
    for name in ("a.tif", "a.png"):
        with pytest.raises(DataError, match=rf"{name}: a label with orientation 6 in its EXIF"):
            read_map(tmp_path / name)


def test_floats_and_colours_are_no_map_of_whole_numbers(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((4, 5), np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(DataError, match=r"a\.tif: picture of mode F, wanted one channel"):
        read_map(tmp_path / "a.tif")
