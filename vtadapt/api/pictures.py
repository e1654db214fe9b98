"""Pictures of every type that people have in memory, as the one form that runs are given."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from vtadapt.data.readers.raw.picture import turned
from vtadapt.data.readers.raw.rgb import eight_bits, to_rgb
from vtadapt.errors import UsageError
from vtadapt.workflows.predict.image import read_image

Picture: TypeAlias = "str | os.PathLike[str] | Image.Image | NDArray[Any] | Tensor"

MEMORY = Path("picture")  # what a picture without a file is called in messages
ORIENTATION = 0x0112  # the tag of EXIF
BEYOND = 0.1  # of 0..1, what interpolation may overshoot; numbers normalised for a network lie far outside


def is_several(image: object) -> bool:
    """Whether it holds pictures rather than is one: a list, an iterator, or an array or tensor with a batch axis."""
    if isinstance(image, Tensor | np.ndarray):
        return image.ndim == 4
    single = (str, bytes, os.PathLike, Mapping, Image.Image)
    return isinstance(image, Iterable) and not isinstance(image, single)


def each_of(images: Iterable[Picture] | Picture) -> Iterator[Picture]:
    """The pictures in what :func:`is_several`."""
    yield from images  # type: ignore[union-attr, misc]  # arrays and tensors give the parts of their first axis


def as_rgb(image: Picture) -> NDArray[np.uint8]:
    """Any picture as (H, W, 3) uint8 RGB.

    Args:
        image: a path; a PIL image of any mode, turned as its EXIF says; an array (H, W), (H, W, 1), (H, W, 3) or
            (H, W, 4), or a tensor that may also have its channels first, of uint8, of uint16 (of 0..65535) or of floats
            in 0..1. Alpha is dropped.

    Raises:
        UsageError: another shape, type or range.
        DataError: a file that cannot be read.
    """
    if isinstance(image, str | os.PathLike):
        return read_image(Path(image))
    if isinstance(image, Image.Image):
        orientation = image.getexif().get(ORIENTATION, 1)
        return turned(to_rgb(image, MEMORY), orientation if isinstance(orientation, int) else 1)
    array: Any = image
    if isinstance(image, Tensor):
        image = image.detach().cpu()
        # Three rows and a width of three or four may be either: torch's order is taken.
        if image.dim() == 3 and (image.shape[0] == 3 or image.shape[0] in (1, 4) and image.shape[2] not in (3, 4)):
            image = image.permute(1, 2, 0)
        array = (image.float() if image.dtype in (torch.bfloat16, torch.float16) else image).numpy()
    if not isinstance(array, np.ndarray) or array.ndim not in (2, 3) or not array.size:
        raise _refused(array)
    if array.ndim == 2:
        array = array[..., None]
    if array.shape[2] not in (1, 3, 4):
        first = array.shape[0] in (1, 3, 4)
        raise _refused(array, ": its channels come first, transpose(1, 2, 0) puts them last" if first else "")
    return np.ascontiguousarray(_eight_bits(array[..., :3]))


def _eight_bits(array: NDArray[Any]) -> NDArray[np.uint8]:
    """(H, W, 1 or 3) of any type as (H, W, 3) of 0..255."""
    if array.dtype == np.uint8:
        return array if array.shape[2] == 3 else np.repeat(array, 3, axis=2)
    if array.dtype == np.uint16:
        return eight_bits(array, 65535, MEMORY)
    if array.dtype.kind != "f":
        raise _refused(array)
    low, high = float(array.min()), float(array.max())
    if not -BEYOND <= low <= high <= 1 + BEYOND:  # also where one is no number
        raise _refused(array, f" with numbers from {low:.3g} to {high:.3g}; divide by 255, or undo a normalisation")
    scaled = (array.clip(0, 1) * 255).round().astype(np.uint8)
    return scaled if scaled.shape[2] == 3 else np.repeat(scaled, 3, axis=2)


def _refused(found: Any, why: str = "") -> UsageError:
    about = f"{type(found).__name__} {getattr(found, 'dtype', '')} {getattr(found, 'shape', '')}".strip()
    return UsageError(
        f"cannot take {about} for a picture{why}; wanted a path, a PIL image, an array (H, W, 3) of uint8 or of floats "
        "in 0..1, or a tensor (3, H, W)"
    )
