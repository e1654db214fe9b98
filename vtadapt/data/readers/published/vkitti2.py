"""Virtual KITTI 2: SceneXX/VARIANT/frames/{rgb,classSegmentation,depth}/Camera_C/, 375x1242.

Classes are colours (``colors.txt`` of the published text files), depth is 16-bit centimetres along the camera's axis,
where 65535 is the far plane: sky, or farther than the format reaches.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from vtadapt.data.readers.base import Arrays, Item, Reader, need_folder
from vtadapt.data.readers.files.depth import DepthOptions, measured
from vtadapt.data.readers.files.layout import folders_in, names_in
from vtadapt.data.readers.raw.door import read_map, read_raster
from vtadapt.data.readers.raw.raster import need_exact, need_upright
from vtadapt.errors import ConfigError, DataError

# Numbers by which label sets name the classes, and their colours in the files.
COLOURS: dict[int, tuple[int, int, int]] = {
    0: (210, 0, 200),  # Terrain
    1: (90, 200, 255),  # Sky
    2: (0, 199, 0),  # Tree
    3: (90, 240, 0),  # Vegetation
    4: (140, 140, 140),  # Building
    5: (100, 60, 100),  # Road
    6: (250, 100, 255),  # GuardRail
    7: (255, 255, 0),  # TrafficSign
    8: (200, 200, 0),  # TrafficLight
    9: (255, 130, 0),  # Pole
    10: (80, 80, 80),  # Misc
    11: (160, 60, 60),  # Truck
    12: (255, 127, 80),  # Car
    13: (0, 139, 139),  # Van
    14: (0, 0, 0),  # Undefined
}
_KINDS = {  # role -> folder of the frames, beginning and end of the names
    "image": ("rgb", "rgb_", ".jpg"),
    "semseg": ("classSegmentation", "classgt_", ".png"),
    "depth": ("depth", "depth_", ".png"),
}


class Vkitti2Options(DepthOptions):
    """What of the data set is used, and how it is divided.

    ``val_scenes``: the scenes of split val; train has the others, so that no scene is in both. ``variants``: such as
    clone, fog, 15-deg-left; null for all that are there. ``cameras``: 0 = left, 1 = right.
    """

    val_scenes: tuple[str, ...] = Field(("Scene02", "Scene18"), min_length=1)
    variants: tuple[str, ...] | None = None
    cameras: tuple[int, ...] = Field((0,), min_length=1)


class Vkitti2(Reader):
    """Rendered drives through five scenes in ten variants each; the archives may lie in one folder or in several."""

    Options = Vkitti2Options
    every_sample_has = "its picture in frames/rgb"

    def find(self, source: Path | None, split: str) -> list[Item]:
        """Frames of the split's scenes by scene, variant, camera and number, with those labels that are there."""
        root = need_folder(source, self.recipe.source.layout)
        if split not in ("train", "val"):
            raise ConfigError(f"recipe {self.recipe.name!r}: split {split!r}, wanted train or val (option val_scenes)")
        tops = [root, *folders_in(root)]
        scenes = sorted({f.name for top in tops for f in folders_in(top) if f.name.startswith("Scene")})
        if not scenes:
            raise DataError(f"{root}: no folders SceneXX, here or one level below; wanted {self.recipe.source.layout}")
        mine = [scene for scene in scenes if (scene in self.options.val_scenes) == (split == "val")]
        holding = {scene: [top / scene for top in tops if (top / scene).is_dir()] for scene in mine}
        items = [
            item
            for scene in mine
            for variant in self._variants(holding[scene])
            for camera in self.options.cameras
            for item in self._frames([place / variant for place in holding[scene]], f"Camera_{camera}")
        ]
        if not items and split not in self.options.optional_splits:
            chosen = ", ".join(self.options.variants or ("any variant",))
            raise DataError(
                f"{root}: no frames for split {split!r} in {', '.join(mine) or 'no scene'} ({chosen}; found "
                f"{', '.join(scenes)}, of which {', '.join(self.options.val_scenes)} are for val: option val_scenes)"
            )
        return items

    def load(self, item: Item) -> Arrays:
        """Picture, class ids with void as 255, and z-depth in metres with 0 = missing."""
        return self.picture_and(item, {"semseg": self._classes, "depth": self._depth})

    def _classes(self, path: Path) -> NDArray[np.generic]:
        return self.class_ids("semseg", read_colours(path), path)

    def _variants(self, places: list[Path]) -> list[str]:
        """Names of the variants of a scene that are wanted and there."""
        there = sorted({folder.name for place in places for folder in folders_in(place)})
        return there if self.options.variants is None else [v for v in self.options.variants if v in there]

    def _frames(self, places: list[Path], camera: str) -> list[Item]:
        """The frames of one camera of one variant, whose kinds of files may lie in several ``places``."""
        found: dict[str, dict[str, Path]] = {}
        looked: dict[str, Path] = {}
        for role, (folder, begin, end) in _KINDS.items():
            if role == "image" or role in self.wanted:
                spelled = dict.fromkeys((folder, folder.lower()))  # the published page has it in small letters
                cameras = [place / "frames" / name / camera for place in places for name in spelled]
                looked[role] = cameras[0]
                found[role] = {
                    name.removeprefix(begin).removesuffix(end): listed / name
                    for listed in reversed(cameras)
                    for name in names_in(listed)
                    if name.startswith(begin) and name.endswith(end)
                }
        items = []
        for number, image in sorted(found["image"].items()):
            there = {role: files[number] for role, files in found.items() if number in files}
            names = {role: f"{begin}{number}{end}" for role, (_, begin, end) in _KINDS.items()}
            absent = {role: looked[role] / names[role] for role in found if role not in there}
            scene, variant = image.parts[-6:-4]
            items.append(Item(f"{scene}/{variant}/{camera}/{number}", there, absent=absent))
        return items

    def _depth(self, path: Path) -> NDArray[np.float32]:
        raw = read_map(path)
        if raw.dtype == np.uint8:
            raise DataError(f"{path}: 8-bit depth, wanted the 16-bit PNG as published, in centimetres")
        return measured(raw, (raw * np.float64(self.options.metres)).astype(np.float32), self.options)


def read_colours(path: Path) -> NDArray[np.uint8]:
    """A picture of class colours as (H, W) numbers of ``COLOURS``.

    Raises:
        DataError: broken, no 8-bit colour picture, or a colour that is no class; the message names file and colour.
    """
    picture = read_raster(path)
    need_exact(picture, path, "class colours")
    need_upright(picture, path)
    if picture.mode not in ("RGB", "RGBA", "P") or picture.array.dtype != np.uint8:
        found = f"{picture.array.dtype} picture of mode {picture.mode}"
        raise DataError(f"{path}: {found}, wanted the colours of the classes (8 bits, RGB)")
    rgb = (picture.array if picture.palette is None else picture.palette[picture.array]).astype(np.int32)
    codes = rgb[..., 0] << 16 | rgb[..., 1] << 8 | rgb[..., 2]
    known = {r << 16 | g << 8 | b: number for number, (r, g, b) in COLOURS.items()}
    ordered = np.asarray(sorted(known), np.int32)
    place = np.minimum(np.searchsorted(ordered, codes), len(ordered) - 1)
    if (strange := ordered[place] != codes).any():
        code = int(codes[strange][0])
        colour = f"({code >> 16}, {code >> 8 & 255}, {code & 255})"
        raise DataError(
            f"{path}: colour {colour} (in {int(strange.sum())} of {codes.size} pixels) is no class of Virtual KITTI 2; "
            "wanted the PNG as published, neither resized nor saved as JPEG"
        )
    return np.asarray([known[int(code)] for code in ordered], np.uint8)[place]
