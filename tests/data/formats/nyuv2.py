"""``nyu_depth_v2_labeled.mat`` as MATLAB writes it: version 7.3, HDF5 behind a header of 512 bytes, axes reversed.

MATLAB keeps arrays in column-major order and writes their memory as it is, so HDF5 shows the sizes in reverse order.
All 1449 samples are there at full size, but only those asked for are stored; the others are fill values.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

HEADER = b"MATLAB 7.3 MAT-file, Platform: GLNXA64, Created on: Mon Sep 17 12:00:00 2012 HDF5 schema 1.00 ."
TABLE = Path(__file__).resolve().parents[3] / "vtadapt" / "data" / "tables" / "nyu.json"
SCENES = ("kitchen", "bedroom", "living_room")
# Numbers of the label maps used here with their names in the 40 and 13 classes, from the published mappings.
CLASSES = {
    0: (None, None),
    1: ("otherprop", "objects"),
    3: ("cabinet", "furniture"),
    4: ("ceiling", "ceiling"),
    5: ("chair", "chair"),
    11: ("floor", "floor"),
    19: ("table", "table"),
    21: ("wall", "wall"),
    28: ("door", "wall"),
    59: ("window", "window"),
    64: ("picture", "picture"),
    83: ("sofa", "sofa"),
    85: ("books", "books"),
    157: ("bed", "bed"),
    172: ("television", "tv"),
    894: ("otherprop", "objects"),
}


@dataclass(frozen=True)
class Sample:
    """What MATLAB would show of one sample: (480, 640[, 3])."""

    image: np.ndarray
    labels: np.ndarray
    depth: np.ndarray
    raw: np.ndarray


def write_nyuv2(path: Path, numbers: Sequence[int], count: int = 1449) -> dict[int, Sample]:
    """Write the file with ``count`` samples; returns those of ``numbers`` (1-based), all others are empty."""
    truth = {n: _sample(n) for n in numbers}
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w", userblock_size=512) as file:
        kinds = {"images": ((3,), np.uint8, b"uint8"), "labels": ((), np.uint16, b"uint16")}
        kinds |= {"instances": ((), np.uint8, b"uint8")}
        kinds |= {"depths": ((), np.float32, b"single"), "rawDepths": ((), np.float32, b"single")}
        for name, (extra, kind, matlab) in kinds.items():
            shape = (count, *extra, 640, 480)
            data = file.create_dataset(name, shape, kind, chunks=(1, *shape[1:]), compression=1)
            data.attrs["MATLAB_class"] = np.bytes_(matlab)
        for number, sample in truth.items():
            file["images"][number - 1] = sample.image.ravel(order="F").reshape(3, 640, 480)
            file["labels"][number - 1] = sample.labels.ravel(order="F").reshape(640, 480)
            file["depths"][number - 1] = sample.depth.ravel(order="F").reshape(640, 480)
            file["rawDepths"][number - 1] = sample.raw.ravel(order="F").reshape(640, 480)
        _texts(file, "names", json.loads(TABLE.read_text(encoding="utf-8"))["nyu894"])
        _texts(file, "sceneTypes", [SCENES[n % 3] for n in range(1, count + 1)])
        _texts(file, "scenes", [f"{SCENES[n % 3]}_{n:04d}" for n in range(1, count + 1)])
    with path.open("r+b") as stream:
        stream.write(HEADER.ljust(116) + bytes(8) + b"\x00\x02IM")
    return truth


def _sample(number: int) -> Sample:
    random = np.random.default_rng(number)
    image = random.integers(0, 256, (480, 640, 3), dtype=np.uint8)
    labels = random.choice(np.array(list(CLASSES), np.uint16), (48, 64)).repeat(10, axis=0).repeat(10, axis=1)
    v, u = np.mgrid[:480, :640]
    x, y = (u - 325.58) / 518.86, (v - 253.74) / 519.47  # a plane n . X = 2 seen by NYUv2's camera
    depth = (2 / (0.36 * x - 0.48 * y + 0.8)).astype(np.float32)
    raw = np.where(random.random((480, 640)) < 0.2, 0, depth).astype(np.float32)
    return Sample(image, labels, depth, raw)


def _texts(file: h5py.File, name: str, texts: Sequence[str]) -> None:
    """An N x 1 cell array: references to 1 x K arrays of UTF-16 codes in ``#refs#``, all axes reversed."""
    group, references = file.require_group("#refs#"), np.empty((1, len(texts)), h5py.ref_dtype)
    for i, text in enumerate(texts):
        codes = np.array([ord(c) for c in text], np.uint16).reshape(-1, 1)
        data = group.create_dataset(f"{name}{i}", data=codes)
        data.attrs["MATLAB_class"] = np.bytes_(b"char")
        references[0, i] = data.ref
    file.create_dataset(name, data=references, dtype=h5py.ref_dtype).attrs["MATLAB_class"] = np.bytes_(b"cell")
