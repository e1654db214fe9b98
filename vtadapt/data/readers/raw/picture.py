"""Pictures decoded by what their bytes are, whatever their names say; ``rgb.py`` makes of them what people see."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from vtadapt.data.readers.raw.png16 import SIGNATURE, PngHeader, check_png
from vtadapt.data.readers.raw.raster import ORIENTATION
from vtadapt.errors import DataError

PROGRAMS = ("EPS", "WMF")  # descriptions of drawings, which Pillow would hand to another program to run
HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
REDUCED = 254  # the tag of TIFF whose lowest bit says that a picture is a smaller copy of another


OTHERS = {
    b"version https://git-lfs": "a pointer of Git LFS; run 'git lfs pull'",
    b"\x93NUMPY": "an array of NumPy",
    b"\x89HDF\r\n\x1a\n": "HDF5",
    b"\x76\x2f\x31\x01": "OpenEXR, which is not read; save it as float TIFF or .npy",
    b"%PDF": "PDF",
    b"PK\x03\x04": "a zip archive",
}
"""First bytes -> what a file is that is no picture."""

T = TypeVar("T", bound=np.generic)


class Opened(NamedTuple):
    """A decoded picture, its pixels as they are stored.

    ``orientation``: 1..8 as EXIF counts, 1 = upright. ``png``: what a PNG says of itself.
    """

    image: Image.Image
    format: str
    orientation: int
    png: PngHeader | None


def is_there(path: Path) -> bool:
    """Whether there is such a file; False for names from lists that no file can have (too long, or with a NUL)."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def read_bytes(path: Path) -> bytes:
    """The content of a file; DataError where there is none or it cannot be read."""
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file") from error
    except ValueError as error:  # a NUL in it, from a list
        raise DataError(f"{str(path)!r}: no name of a file") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({_short(error)})") from error


@contextlib.contextmanager
def decoding(path: Path, data: bytes = b"") -> Iterator[None]:
    """Turn whatever a parser of pictures raises for broken bytes into a DataError that names ``path``.

    ``data``: the bytes, for a word on what else they are.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # on details that are no part of the pixels
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    except (DataError, MemoryError):
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: picture too large to be opened safely ({error})") from error
    except UnidentifiedImageError as error:
        raise DataError(f"{path}: broken picture (no picture of a known format{what_it_is(data)})") from error
    except Exception as error:  # parsers raise what the bytes lead them to, from IndexError to struct.error
        raise DataError(f"{path}: broken picture ({_short(error)})") from error


def open_picture(path: Path, data: bytes | None = None) -> Opened:
    """A wholly decoded picture of any mode, as it is stored.

    Of PNG the checksums are tested, too: Pillow does not look at those of the pixels, so that a flipped bit in a label
    map could become another class.

    Args:
        path: the file.
        data: its content, where it is known.

    Raises:
        DataError: missing, cut short, no picture, several pictures in one file, too large.
    """
    data = read_bytes(path) if data is None else data
    if not data:
        raise DataError(f"{path}: broken picture (an empty file)")
    png = check_png(data, path) if data.startswith(SIGNATURE) else None
    heif = data[4:8] == b"ftyp" and data[8:12] in HEIF_BRANDS
    if heif:
        _register_heif()
    with decoding(path, data):
        try:
            image = Image.open(io.BytesIO(data))
        except UnidentifiedImageError as error:
            if not heif:
                raise
            wanted = "install its reader (pip install 'vtadapt[heic]'), or save it as JPEG or PNG"
            raise DataError(f"{path}: HEIC picture; {wanted}") from error
        kind = str(image.format)
        if kind in PROGRAMS:
            raise DataError(f"{path}: {kind}, whatever its name says; wanted a PNG, JPEG or TIFF picture")
        if (count := count_pages(data, path) if kind == "TIFF" else _count(image, png)) > 1:
            raise several(path, count, kind)
        # Pillow turns TIFF when it loads it, and no other format.
        orientation = _orientation(image) if kind == "TIFF" else 1
        if orientation != 1:
            image.getexif()[ORIENTATION] = 1
        image.load()
        _check_bmp(image, kind, data, path)
    return Opened(image, kind, orientation if kind == "TIFF" else _orientation(image), png)


def turned(array: NDArray[T], orientation: int) -> NDArray[T]:
    """(H, W[, C]) stored pixels, upright: turned or mirrored as the orientation (1..8, of EXIF) says."""
    if orientation == 1:
        return array
    if orientation in (5, 7):
        array = array.swapaxes(0, 1)
    quarters = {3: 2, 4: 2, 6: -1, 7: 2, 8: 1}.get(orientation, 0)
    array = np.rot90(array, quarters)
    return np.ascontiguousarray(array[:, ::-1] if orientation in (2, 4) else array)


def what_it_is(data: bytes) -> str:
    """What else bytes are than a picture, for the end of a message; "" where the first of them do not tell."""
    start = data[:512]
    found = next((what for mark, what in OTHERS.items() if start.startswith(mark)), None)
    if found is None and start.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        found = "a page of HTML or XML, as some servers send in place of a file"
    return f": it is {found}" if found else ""


def several(path: Path, count: int, kind: str) -> DataError:
    """The error for a file that holds more than one picture, or none."""
    return DataError(f"{path}: {count} pictures in one {kind} file; save the one that is meant as a file of its own")


def count_pages(data: bytes, path: Path) -> int:
    """How many pictures a TIFF holds, smaller copies of others not counted; the first must be none.

    Libraries follow the chain of directories without an end where it leads into a circle (TIFF 6.0, section 2).

    Raises:
        DataError: it does, or leads out of the file.
    """
    order: Literal["little", "big"] = "little" if data.startswith(b"II") else "big"
    big = data[2:4] in (b"+\0", b"\0+")  # BigTIFF
    wide, entry, head = (8, 20, 8) if big else (4, 12, 2)

    def number(place: int, length: int) -> int:
        if place + length > len(data):
            raise DataError(f"{path}: broken picture (TIFF cut short after {len(data)} bytes)")
        return int.from_bytes(data[place : place + length], order)

    place, seen, whole = number(8 if big else 4, wide), set[int](), 0
    while place:
        if place in seen:
            raise DataError(f"{path}: broken picture (TIFF whose directories form a circle)")
        seen.add(place)
        count = number(place, head)
        end = place + head + count * entry
        number(end, wide)  # before it goes through entries that are not there
        entries = (place + head + i * entry for i in range(count))
        reduced = any(number(e, 2) == REDUCED and number(e + entry - wide, 4) & 1 for e in entries)
        if reduced and len(seen) == 1:
            raise DataError(
                f"{path}: TIFF whose first picture is a smaller copy of another, wanted the whole one first"
            )
        whole += not reduced
        place = number(end, wide)
    return whole


def _count(image: Image.Image, png: PngHeader | None) -> int:
    """How many pictures a file holds; previews beside the picture itself do not count."""
    if png is not None:
        return png.frames
    if image.format == "MPO" or not getattr(image, "is_animated", False):
        return 1  # the first picture of MPO is the one that cameras mean (CIPA DC-007)
    return int(getattr(image, "n_frames", 1))


def _orientation(image: Image.Image) -> int:
    """The orientation that a picture's EXIF says, 1..8; 1 where it is broken or says nothing."""
    with contextlib.suppress(Exception), warnings.catch_warnings():  # broken EXIF raises what its bytes lead to
        warnings.simplefilter("ignore", UserWarning)
        found = image.getexif().get(ORIENTATION, 1)
        return found if found in range(1, 9) else 1
    return 1


def _check_bmp(image: Image.Image, kind: str, data: bytes, path: Path) -> None:
    """Refuse those BMP of which Pillow reads nonsense: it forgets the bits of a pixel where the palette is grey."""
    wanted = {"1": 1, "L": 8}.get(image.mode)
    if kind in ("BMP", "DIB") and wanted is not None:
        header = 14 if kind == "BMP" else 0
        place = header + (10 if int.from_bytes(data[header : header + 4], "little") == 12 else 14)
        bits = int.from_bytes(data[place : place + 2], "little")
        if bits != wanted:
            raise DataError(f"{path}: BMP of {bits} bits a pixel with a grey palette cannot be read; save it as PNG")


def _register_heif() -> None:
    """Let Pillow read HEIC where the optional reader is installed."""
    with contextlib.suppress(ImportError):
        import pillow_heif

        pillow_heif.register_heif_opener()


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:120]
