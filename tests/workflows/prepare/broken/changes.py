"""Ways to break files: each changes one, or makes what spoils a source and says what must be named."""

from __future__ import annotations

import json
import pickle
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
from PIL import Image

from vtadapt.checked import parse_json

Change = Callable[[Path], object]
Spoil = Callable[[Path], Path]


def at(pattern: str, change: Change) -> Spoil:
    """Change the first file or folder that matches."""

    def spoil(root: Path) -> Path:
        path = min(root.glob(pattern))
        change(path)
        return path

    return spoil


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def cut_end(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def flip(path: Path) -> None:
    """One bit in the middle of the file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


def write(content: bytes) -> Change:
    return lambda path: path.write_bytes(content)


def text(content: str) -> Change:
    return lambda path: path.write_text(content, encoding="utf-8")


def picture(shape: tuple[int, ...], value: int = 1, kind: type = np.uint8, form: str = "PNG") -> Change:
    return lambda path: Image.fromarray(np.full(shape, value, kind)).save(path, format=form)


def empty_folder(path: Path) -> None:
    for file in path.iterdir():
        file.unlink()


def remove_folder(path: Path) -> None:
    empty_folder(path)
    path.rmdir()


def as_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def huge_png(path: Path) -> None:
    """A PNG of 200 bytes that says it is 60000 x 60000 pixels large."""
    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(100))), (b"IEND", b"")]
    parts = [struct.pack(">I", len(b)) + k + b + struct.pack(">I", zlib.crc32(k + b)) for k, b in chunks]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


def array(change: Callable[[np.ndarray], np.ndarray]) -> Change:
    return lambda path: np.save(path, change(np.load(path)))


def with_one(value: float) -> Change:
    """An array of floats with one number replaced."""

    def change(old: np.ndarray) -> np.ndarray:
        new = old.astype(np.float64)
        new[2, 3] = value
        return new

    return array(change)


def huge_npy(path: Path) -> None:
    """A header that declares 8 TB, and a hundred bytes."""
    with path.open("wb") as file:
        about = {"descr": "<f8", "fortran_order": False, "shape": (10**6, 10**6)}
        np.lib.format.write_array_header_1_0(file, about)
        file.write(bytes(100))


def pickled(path: Path) -> None:
    with path.open("wb") as file:
        pickle.dump({"depth": np.ones((2, 2))}, file)


def zipped(path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, depth=np.ones((2, 2)))


def dataset(name: str, content: np.ndarray | h5py.ExternalLink) -> Change:
    """Replace a dataset of an HDF5 file."""

    def change(path: Path) -> None:
        with h5py.File(path, "a") as file:
            del file[name]
            file[name] = content

    return change


def hollow(name: str, shape: tuple[int, ...], kind: type) -> Change:
    """Replace a dataset of an HDF5 file by one of another shape without content."""

    def change(path: Path) -> None:
        with h5py.File(path, "a") as file:
            del file[name]
            file.create_dataset(name, shape, kind, chunks=(1, *shape[1:]))

    return change


def label_895(path: Path) -> None:
    with h5py.File(path, "a") as file:
        file["labels"][2, 0, 0] = 895


def without(*keys: str) -> Change:
    """Remove a key of a JSON file."""

    def change(path: Path) -> None:
        content = parse_json(path.read_bytes())
        inner = content
        for key in keys[:-1]:
            inner = inner[key]
        del inner[keys[-1]]
        path.write_text(json.dumps(content))

    return change


def other_columns(path: Path) -> None:
    path.write_text(path.read_text().replace("split_partition_name", "partition"))


def beside(suffix: str) -> Spoil:
    """The first training picture once more in another format; both lie in the folder that is named."""

    def spoil(root: Path) -> Path:
        path = min(root.glob("train/*.png"))
        Image.open(path).save(path.with_suffix(suffix))
        return path.parent

    return spoil


def same_name_elsewhere(root: Path) -> Path:
    (root / "pictures" / "c").mkdir()
    Image.new("RGB", (16, 12)).save(root / "pictures" / "c" / "0.png")
    return root / "train.txt"


def two_suffixes(root: Path) -> Path:
    Image.new("RGB", (16, 12)).save(root / "pictures" / "ä b" / "0.bmp")
    return root / "pictures"


def lists_missing(path: Path) -> None:
    path.write_text(path.read_text(encoding="utf-8") + "not there\n", encoding="utf-8")


def listed_file(pattern: str, content: str, named: str) -> Spoil:
    """A list with a name in it that ``named`` should have been the file of."""

    def spoil(root: Path) -> Path:
        min(root.glob(pattern)).write_text(content, encoding="utf-8")
        return root / named

    return spoil


def other_building(root: Path) -> Path:
    (root / "rgb" / "Allensville").rename(root / "rgb" / "Bag End")
    return root


def latin_1(path: Path) -> None:
    path.write_bytes("Straße\nBücher\n".encode("latin-1"))
