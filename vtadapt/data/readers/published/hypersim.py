"""Hypersim: rendered rooms, an HDF5 file (key ``dataset``) per picture and kind of label.

SCENE/images/scene_CAM_final_hdf5/frame.IIII.color.hdf5 or scene_CAM_final_preview/frame.IIII.tonemap.jpg, and
SCENE/images/scene_CAM_geometry_hdf5/frame.IIII.{depth_meters,normal_cam,semantic,render_entity_id}.hdf5, as published
with Roberts et al.: Hypersim, ICCV 2021. The README of apple/ml-hypersim gives the conventions that are undone here.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from vtadapt.data.readers.base import Arrays, Item, Reader, ReaderOptions, need_folder, same_size
from vtadapt.data.readers.files.layout import folders_in, names_in
from vtadapt.data.readers.raw.child import ParserError, run_in_child
from vtadapt.data.recipe.camera import Intrinsics
from vtadapt.data.recipe.strict import Seed
from vtadapt.errors import ConfigError, DataError

LIST = "metadata_images_split_scene_v1.csv"
LIST_FOLDERS = ("", "evermotion_dataset/analysis", "analysis")
SCENE_FOLDERS = ("", "scenes", "evermotion_dataset/scenes")
COLUMNS = ("scene_name", "camera_name", "frame_id", "included_in_public_release", "split_partition_name")
PICTURE = re.compile(r"frame\.(\d+)\.(color\.hdf5|tonemap\.jpg)")
CAMERA = re.compile(r"scene_(.+)_final_(?:hdf5|preview)")
GEOMETRY = {"depth": "depth_meters", "normals": "normal_cam", "semseg": "semantic"}
LARGEST = 1 << 26  # numbers in one file; the published ones have 1024 x 768 x 3 at most
PERCENTILE, BRIGHTNESS, GAMMA = 90, 0.8, 1 / 2.2  # of the official tone mapping
DARKEST = 1e-4
SHORTEST = 0.1  # normals are unit vectors, but for those that are broken
Frames = dict[str, set[tuple[str, int]]]  # scene -> (camera, number)


class HypersimOptions(ReaderOptions):
    """Pictures, splits and normals.

    ``preview``: take the published ``tonemap.jpg`` where it is there, and tone-map ``color.hdf5`` only where it is not.
    ``fractions`` and ``seed``: how the scenes that are there are divided where the official list is not in the source.
    ``face_camera``: turn normals round that point away from the camera, as those of some meshes do, which are as the
    artists left them (issue 26 of apple/ml-hypersim).
    """

    preview: bool = True
    fractions: dict[str, Annotated[float, Field(gt=0, le=1)]] = {"train": 0.8, "val": 0.1, "test": 0.1}
    seed: Seed = 0
    face_camera: bool = True

    @model_validator(mode="after")
    def _at_most_all(self) -> Self:
        if sum(self.fractions.values()) > 1 + 1e-9:
            raise ValueError("the fractions add up to more than 1")
        return self


class Hypersim(Reader):
    """Frames of the official split (scenes, version 1) where its list lies in the source, else of whole scenes."""

    Options = HypersimOptions

    def find(self, source: Path | None, split: str) -> list[Item]:
        """One item per picture; frames that the list leaves out of the public release are left out here, too."""
        root = need_folder(source, self.recipe.source.layout)
        scenes = find_scenes(root)
        if not scenes:
            raise DataError(f"{root}: no SCENE/images folders; wanted {self.recipe.source.layout}")
        listed = next((p for folder in LIST_FOLDERS if (p := root / folder / LIST).is_file()), None)
        if listed is None:
            items = [i for scene in self._share(sorted(scenes), split) for i in self._items(scene, scenes[scene], None)]
        else:
            frames = read_split(listed, split)
            items = [
                i for scene in sorted(set(scenes) & set(frames)) for i in self._items(scene, scenes[scene], frames)
            ]
        if not items and split not in self.options.optional_splits:
            rule = "options.fractions; give it a larger share" if listed is None else f"{listed}; add scenes of it"
            raise DataError(f"{root}: no pictures for split {split!r} in {len(scenes)} scenes, divided by {rule}")
        return items

    def load(self, item: Item) -> Arrays:
        """Picture, z-depth, normals and class ids."""
        path = item.paths["image"]
        image = self.picture(item) if path.suffix == ".jpg" else read_picture(path, item.paths.get("entities"))
        result: Arrays = {"image": image}
        if "depth" in item.paths:
            raw = _label(item.paths["depth"], "f", (), image)
            if (raw < 0).any():
                raise DataError(f"{item.paths['depth']}: negative distance {np.nanmin(raw):g}, wanted metres >= 0")
            result["depth"] = z_depth(raw, self._camera(item, image))
        if "normals" in item.paths:
            raw = _label(item.paths["normals"], "f", (3,), image)
            result["normals"] = our_normals(raw, self._camera(item, image), self.options.face_camera)
        if "semseg" in item.paths:
            raw = _label(item.paths["semseg"], "iu", (), image)
            result["semseg"] = self.class_ids("semseg", raw, item.paths["semseg"])
        return result

    def _camera(self, item: Item, image: NDArray[Any]) -> Intrinsics:
        camera = self.camera(item, (image.shape[0], image.shape[1]))
        if camera is None:
            raise ConfigError(f"recipe {self.recipe.name!r}: 'intrinsics' are needed to make z-depth of distances")
        return camera

    def _share(self, scenes: Sequence[str], split: str) -> list[str]:
        """Scenes of ``split``: shuffled, then divided by the fractions."""
        fractions = self.options.fractions
        if split not in fractions:
            return []
        order = np.random.default_rng(self.options.seed).permutation(len(scenes))
        ends = np.round(np.cumsum(list(fractions.values())) * len(scenes)).astype(int)
        which = list(fractions).index(split)
        return sorted(scenes[i] for i in order[ends[which - 1] if which else 0 : ends[which]])

    def _items(self, scene: str, folder: Path, frames: Frames | None) -> list[Item]:
        """The pictures of one scene, or those of them in ``frames``; each folder is listed once."""
        images = folder / "images"
        items = []
        for camera in sorted({m[1] for p in folders_in(images) if (m := CAMERA.fullmatch(p.name))}):
            geometry = images / f"scene_{camera}_geometry_hdf5"
            there = names_in(geometry)
            for number, picture in sorted(self._pictures(images, camera).items()):
                if frames is not None and (camera, int(number)) not in frames[scene]:
                    continue
                paths: dict[str, Path] = {"image": picture}
                absent: dict[str, Path] = {}
                for task, kind in GEOMETRY.items():
                    if task in self.wanted:
                        name = f"frame.{number}.{kind}.hdf5"
                        (paths if name in there else absent)[task] = geometry / name
                entities = f"frame.{number}.render_entity_id.hdf5"
                if picture.suffix == ".hdf5" and entities in there:
                    paths["entities"] = geometry / entities
                items.append(Item(f"{scene}/{camera}/frame.{number}", paths, absent=absent))
        return items

    def _pictures(self, images: Path, camera: str) -> dict[str, Path]:
        """One picture per number of a frame: the preview before the HDR picture, if wanted at all."""
        found: dict[str, Path] = {}
        for kind in ("hdf5", "preview") if self.options.preview else ("hdf5",):
            folder = images / f"scene_{camera}_final_{kind}"
            found |= {m[1]: folder / m[0] for name in names_in(folder) if (m := PICTURE.fullmatch(name))}
        return found


def find_scenes(root: Path) -> dict[str, Path]:
    """Folders that hold ``images``, by name: in ``root``, one or two levels below it, or ``root`` itself."""
    if (root / "images").is_dir():
        return {root.resolve().name: root}
    for below in SCENE_FOLDERS:
        if (root / below).is_dir():
            found = {p.name: p for p in folders_in(root / below) if (p / "images").is_dir()}
            if found:
                return found
    return {}


def read_split(path: Path, split: str) -> Frames:
    """The public frames of ``split`` in the official list; DataError where it is another file or broken."""
    frames: Frames = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            if lost := [c for c in COLUMNS if c not in (rows.fieldnames or ())]:
                raise DataError(f"{path}: no column {lost[0]!r}; wanted the official list with {', '.join(COLUMNS)}")
            for row in rows:
                if row["included_in_public_release"] == "True" and row["split_partition_name"] == split:
                    frames.setdefault(row["scene_name"], set()).add((row["camera_name"], int(row["frame_id"])))
    except (OSError, csv.Error, ValueError, TypeError) as error:
        raise DataError(f"{path}: broken list of frames ({' '.join(str(error).split())[:120]})") from error
    return frames


def read_array(path: Path, kinds: str, channels: tuple[int, ...]) -> NDArray[Any]:
    """``dataset`` of an HDF5 file, read in a child process: damage can crash the HDF5 library.

    Args:
        path: the file.
        kinds: of its numbers, as NumPy's ``dtype.kind``: "f" floating-point, "iu" whole.
        channels: () for (H, W), (3,) for (H, W, 3).

    Raises:
        DataError: not a whole HDF5 file, no such data in it (links out of it are refused), or of another kind or shape.
    """
    try:
        seconds = 3 + path.stat().st_size / (8 << 20)
        array: NDArray[Any] = run_in_child(_array_of, path, kinds, channels, seconds=seconds)
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file") from error
    except (OSError, ParserError) as error:
        raise DataError(f"{path}: broken HDF5 file ({' '.join(str(error).split())[:120]})") from error
    return array.astype(np.float32) if kinds == "f" else array


def _array_of(path: Path, kinds: str, channels: tuple[int, ...]) -> NDArray[Any]:
    import h5py

    from vtadapt.data.hdf5 import dataset

    with h5py.File(path, "r") as file:
        data = dataset(file, "dataset", path)
        wanted = f"(H, W{''.join(f', {c}' for c in channels)})"
        if data.ndim != 2 + len(channels) or data.shape[2:] != channels or not 0 < data.size <= LARGEST:
            raise DataError(f"{path}: numbers of shape {data.shape}, wanted {wanted}")
        if data.dtype.kind not in kinds:
            sort = "floating-point" if kinds == "f" else "whole"
            raise DataError(f"{path}: numbers of type {data.dtype}, wanted {sort} numbers")
        array: NDArray[Any] = data[()]
    return array


def _label(path: Path, kinds: str, channels: tuple[int, ...], image: NDArray[Any]) -> NDArray[Any]:
    array = read_array(path, kinds, channels)
    same_size(path, array, image)
    return array


def read_picture(path: Path, entities: Path | None) -> NDArray[np.uint8]:
    """``color.hdf5`` tone-mapped; pixels whose ``render_entity_id`` is -1 (no surface) do not set the brightness."""
    colour = read_array(path, "f", (3,))
    if not np.isfinite(colour).any():
        raise DataError(f"{path}: no finite number in it, wanted a picture")
    surface = np.isfinite(colour).all(axis=-1)
    if entities is not None:
        surface &= _label(entities, "iu", (), colour) != -1
    return tone_map(colour, surface)


def tone_map(colour: NDArray[np.float32], surface: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """(scale x colour)^(1/2.2) with the scale that gives the 90th percentile of the brightness of ``surface`` 0.8.

    As scene_generate_images_tonemap.py of apple/ml-hypersim does it: brightness 0.3 R + 0.59 G + 0.11 B, and rounding
    down to 8 bits. Pixels that are no numbers become black, infinite ones white.
    """
    scale = 1.0
    if surface.any():
        red, green, blue = np.moveaxis(colour[surface], -1, 0)
        bright = float(np.percentile(0.3 * red + 0.59 * green + 0.11 * blue, PERCENTILE))
        scale = BRIGHTNESS ** (1 / GAMMA) / bright if bright >= DARKEST else 0.0
    known = np.nan_to_num(colour, nan=0.0, posinf=float(np.finfo(np.float32).max), neginf=0.0)
    with np.errstate(over="ignore"):
        mapped = np.power(np.maximum(np.float32(scale) * known, 0), np.float32(GAMMA))
    return (np.clip(mapped, 0, 1) * 255).astype(np.uint8)


def _rays(camera: Intrinsics) -> NDArray[np.float32]:
    v, u = np.mgrid[: camera.height, : camera.width].astype(np.float32)
    return np.stack([(u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy, np.ones_like(u)], axis=-1)


def z_depth(distance: NDArray[np.float32], camera: Intrinsics) -> NDArray[np.float32]:
    """Depth along the axis from distances along the rays: z = d f / sqrt((u - cx)^2 + (v - cy)^2 + f^2).

    Args:
        distance: (H, W) metres to the centre of the camera; NaN and infinity = missing.
        camera: of an image of H x W.

    Returns:
        (H, W) float32 metres, 0 = missing.
    """
    depth = distance / np.linalg.norm(_rays(camera), axis=-1)
    return np.where(np.isfinite(depth), depth, 0).astype(np.float32)


def our_normals(vectors: NDArray[np.float32], camera: Intrinsics, face_camera: bool) -> NDArray[np.float32]:
    """Unit normals, +x right, +y down, +z away, from (H, W, 3) vectors with +y up and +z towards the viewer.

    Vectors that are no numbers, or zero, are missing (0, 0, 0). With ``face_camera`` those that point away from the
    camera (n . ray > 0) are turned round: what is seen of a surface is the side that faces the camera.
    """
    flipped = vectors * np.array([1, -1, -1], np.float32)
    length = np.linalg.norm(flipped, axis=-1, keepdims=True)
    known = np.isfinite(length) & (length > SHORTEST)
    normals = np.where(known, flipped / np.where(known, length, 1), 0).astype(np.float32)
    if face_camera:
        normals[np.einsum("hwc,hwc->hw", normals, _rays(camera)) > 0] *= -1
    return normals
