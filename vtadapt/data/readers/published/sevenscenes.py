"""7-Scenes: seq-XX/frame-NNNNNN.{color.png|jpg, depth.png}, 16-bit depth in millimetres.

The depth camera is not the colour camera: it sees a narrower field (focal length 585 against 525 pixels) from 2.5 cm
to the side, so that depth lies up to 30 pixels of 640 away from its colour. ``register_depth`` moves it there.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from vtadapt.data.readers.base import (
    Arrays,
    Item,
    Reader,
    ReaderOptions,
    Strict,
    is_there,
    need_folder,
    need_once,
    read_lines,
    same_size,
)
from vtadapt.data.readers.raw.door import read_map
from vtadapt.data.recipe.camera import FARTHEST, Intrinsics
from vtadapt.data.recipe.strict import Stored
from vtadapt.errors import DataError

OFFICIAL_LISTS = {"train": "TrainSplit.txt", "val": "TestSplit.txt", "test": "TestSplit.txt"}
ENDS = (".color.png", ".color.jpg", ".depth.png")


class DepthCamera(Strict):
    """The depth camera seen from the colour camera: X_colour = ``rotation`` X_depth + ``translation`` (metres)."""

    focal: float = Field(gt=0, le=FARTHEST)
    cx: float = Field(ge=-FARTHEST, le=FARTHEST)
    cy: float = Field(ge=-FARTHEST, le=FARTHEST)
    rotation: tuple[tuple[float, float, float], tuple[float, float, float], tuple[float, float, float]]
    translation: tuple[float, float, float]


class SevenScenesOptions(ReaderOptions):
    """``metres``: of one unit of the depth files; ``missing``: their values that mean no measurement.

    ``depth_camera``: null leaves the depth where it is (the recipe's intrinsics must then be the depth camera's).
    """

    metres: float = Field(0.001, gt=0, allow_inf_nan=False)
    depth_camera: DepthCamera | None = None
    missing: tuple[Stored, ...] = (0, 65535)


class SevenScenes(Reader):
    """RGB-D frames of one scene.

    Splits: the frames listed in ``SPLIT.txt`` (lines ``seq-01/frame-000000``); else the sequences of the official
    ``TrainSplit.txt`` and ``TestSplit.txt`` (lines ``sequence1``; the test sequences serve as val); else the last of
    several sequences is val.
    """

    Options = SevenScenesOptions
    every_sample_has = "the colour and depth picture of each frame"

    def find(self, source: Path | None, split: str) -> list[Item]:
        """One item per frame; each is to have a colour and a depth picture."""
        root = need_folder(source, self.recipe.source.layout)
        listed = root / f"{split}.txt"
        if listed.is_file():
            lines = read_lines(listed)
            need_once(listed, lines)
            frames = [root / line for line in lines]
        elif split in self.options.optional_splits:
            return []
        else:
            folders = self._sequences(root, split)
            found = ((p, end) for folder in folders for end in ENDS for p in folder.glob(f"frame-*{end}"))
            frames = sorted({p.with_name(p.name.removesuffix(end)) for p, end in found})
        if not frames:
            raise DataError(f"{root}: no frames for split {split!r}; wanted {self.recipe.source.layout}")
        items = [_item(frame, root) for frame in frames]
        return items if "depth" in self.wanted else [Item(i.name, {"image": i.paths["image"]}) for i in items]

    def load(self, item: Item) -> Arrays:
        """Picture, and depth in metres with 0 = missing."""
        image = self.picture(item)
        if "depth" not in item.paths:
            return {"image": image}
        path = item.paths["depth"]
        raw = read_map(path)
        if raw.dtype == np.uint8:
            raise DataError(f"{path}: 8-bit depth, wanted 16-bit millimetres")
        same_size(path, raw, image)
        known = ~np.isin(raw, self.options.missing)
        depth = np.where(known, raw * np.float32(self.options.metres), 0).astype(np.float32)
        if self.options.depth_camera is not None:
            depth = register_depth(depth, self.options.depth_camera, self.recipe.intrinsics, str(path))
        return {"image": image, "depth": depth}

    def _sequences(self, root: Path, split: str) -> list[Path]:
        """Folders of the sequences that belong to ``split``."""
        folders = sorted(p for p in root.glob("seq-*") if p.is_dir())
        official = root / OFFICIAL_LISTS.get(split, "")
        if official.is_file():
            numbers = re.findall(r"\d+", "\n".join(read_lines(official)))
            return [need_folder(root / f"seq-{int(n):02d}", "frames") for n in numbers]
        if len(folders) < 2:
            raise DataError(
                f"{root}: found {len(folders)} seq-XX folders and no {split}.txt; "
                f"wanted {split}.txt, {OFFICIAL_LISTS['train']} or several sequences"
            )
        return folders[-1:] if split == "val" else folders[:-1]


def register_depth(
    depth: NDArray[np.float32], camera: DepthCamera, colour: Intrinsics | None, where: str
) -> NDArray[np.float32]:
    """Depth as the colour camera sees it: every point is moved there, and the nearest one that falls on a pixel stays.

    Args:
        depth: (H, W) z-depth of the depth camera in metres, 0 = missing.
        camera: the depth camera.
        colour: the colour camera; its size must be H x W.
        where: the file, for the message.

    Returns:
        (H, W) z-depth of the colour camera; 0 where no point falls.
    """
    if colour is None or (colour.height, colour.width) != depth.shape:
        wanted = "intrinsics in the recipe" if colour is None else f"{colour.height}x{colour.width}"
        raise DataError(f"{where}: depth of {depth.shape[0]}x{depth.shape[1]}, wanted {wanted} to register it")
    v, u = np.nonzero(depth)
    z = depth[v, u].astype(np.float64)
    points = np.stack([(u - camera.cx) / camera.focal * z, (v - camera.cy) / camera.focal * z, z])
    x, y, z = np.array(camera.rotation) @ points + np.array(camera.translation)[:, None]
    column = np.rint(x / z * colour.fx + colour.cx).astype(np.int64)
    row = np.rint(y / z * colour.fy + colour.cy).astype(np.int64)
    seen = (z > 0) & (column >= 0) & (column < colour.width) & (row >= 0) & (row < colour.height)
    far_first = np.flatnonzero(seen)[np.argsort(-z[seen], kind="stable")]
    result = np.zeros(depth.shape, np.float32)
    result[row[far_first], column[far_first]] = z[far_first]
    return result


def _item(frame: Path, root: Path) -> Item:
    """The files of one frame; the colour picture may be .jpg."""
    colour = frame.with_name(frame.name + ".color.png")
    if not is_there(colour) and is_there(other := frame.with_name(frame.name + ".color.jpg")):
        colour = other
    name = frame.relative_to(root).as_posix() if frame.is_relative_to(root) else frame.name
    return Item(name, {"image": colour, "depth": frame.with_name(frame.name + ".depth.png")})
