"""A sample's way from the reader's arrays to the pack's: check, resize, derive."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vtadapt.data.pack.labels import conform
from vtadapt.data.prepare.derive import normals_from_depth, occlusion_edges, semantic_boundaries
from vtadapt.data.recipe.fit import Frame
from vtadapt.data.recipe.recipe import Intrinsics, Recipe
from vtadapt.data.recipe.task import Derive, RecipeTask
from vtadapt.errors import DataError

Arrays = dict[str, NDArray[Any]]
SURROUND = (124, 116, 104)  # of a padded picture: the mean of ImageNet, which normalisation turns into 0
OCCLUSION_WINDOW = 7  # radius of the plane fit that tells a slanted surface from a jump, pixels of the source


def process_sample(
    arrays: Arrays,
    recipe: Recipe,
    tasks: Sequence[str],
    size: tuple[int, int] | None,
    name: str,
    camera: Callable[[tuple[int, int]], Intrinsics | None] = lambda _: None,
    paths: Mapping[str, Path] | None = None,
) -> Arrays:
    """Check, resize and derive.

    Pictures are resized with antialiasing, labels to the nearest pixel; boundaries are derived after resizing (one
    pixel wide at any size), normals from the depth of the full resolution at the pixels that are kept.

    Args:
        arrays: ``image`` and labels, as the reader loads them.
        recipe: the data set.
        tasks: those to keep.
        size: (height, width) of the result; None = as they are. Another aspect ratio is met as ``recipe.fit`` says.
        name: of the sample, for messages.
        camera: the sample's camera for an image of the given (height, width).
        paths: files of the image and the labels, for messages.

    Raises:
        DataError: a label that does not fit its task, or its image's size, or no camera to derive one with.
    """
    image = arrays["image"]
    native = (image.shape[0], image.shape[1])
    full: Arrays = {}
    files = paths or {}
    for task, label in arrays.items():
        if task in recipe.tasks:
            where = f"{files[task]}, sample {name}" if task in files else f"{name}, {task}"
            full[task] = conform(label, recipe.tasks[task], where)
            if label.shape[:2] != native:
                raise DataError(f"{where}: label of size {label.shape[:2]}, its image is {native}")
    frame = Frame.of(recipe.fit, native, size or native)
    full = {task: _kept(label, frame) for task, label in full.items()}
    result: Arrays = {"image": resize_rgb(_kept(image, frame), frame.inner)}
    result |= {task: resize_label(label, recipe.tasks[task], frame.inner) for task, label in full.items()}
    for task in tasks:
        how = recipe.tasks[task].derive
        if how is not None and task not in result and how.source in full:
            seen_by = camera(native) if how.method != "class_boundaries" else None
            if how.method != "class_boundaries" and seen_by is None:
                where = str(files.get("image", name))
                raise DataError(f"{where}: no camera is known, so {task} cannot be derived; leave it out with --tasks")
            seen_by = None if seen_by is None else frame.camera(seen_by)
            result[task] = _derive(how, full[how.source], result[how.source], seen_by)
    return {key: _framed(key, result[key], recipe, frame) for key in ("image", *tasks) if key in result}


def _kept(array: NDArray[Any], frame: Frame) -> NDArray[Any]:
    """The part of a picture or label that is kept."""
    height, width = frame.kept
    return array[frame.top : frame.top + height, frame.left : frame.left + width]


def _framed(key: str, array: NDArray[Any], recipe: Recipe, frame: Frame) -> NDArray[Any]:
    """A picture or label of the inner size in the middle of its frame: ``SURROUND``, or no label."""
    if frame.inner == frame.size:
        return array
    task = recipe.tasks.get(key)
    fill: Any = SURROUND if task is None else task.behaviour.storage(task, array.dtype).missing
    out = np.empty((*frame.size, *array.shape[2:]), array.dtype)
    out[:] = fill
    out[frame.above : frame.above + frame.inner[0], frame.before : frame.before + frame.inner[1]] = array
    return out


def resize_rgb(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Resize uint8 (H, W, 3): bilinear with antialiasing (a pixel of the result averages those it covers)."""
    if image.shape[:2] == size:
        return image
    return np.asarray(Image.fromarray(image).resize((size[1], size[0]), Image.Resampling.BILINEAR))


def resize_label(label: NDArray[Any], task: RecipeTask, size: tuple[int, int]) -> NDArray[Any]:
    """Resize a label as its kind does: to the nearest pixel, of a boundary to the strongest that fall together."""
    return label if label.shape[:2] == size else task.behaviour.resized_label(label, size)


def _derive(how: Derive, full: NDArray[Any], resized: NDArray[Any], camera: Intrinsics | None) -> NDArray[Any]:
    """One derived label at the size of ``resized``, from its source at full resolution and resized."""
    size = (resized.shape[0], resized.shape[1])
    if how.method == "class_boundaries":
        return semantic_boundaries(resized)
    assert camera is not None, "process_sample has asked for one"
    if how.method == "plane_fit":
        return normals_from_depth(full, camera, how.window, size)
    normals = normals_from_depth(full, camera, OCCLUSION_WINDOW, size)
    return occlusion_edges(resized, normals, camera.resized(*size), how.jump, how.crease)
