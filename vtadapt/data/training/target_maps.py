"""Targets as torchvision TVTensors that know their task, and with it how they flip, crop, resize and pad.

:func:`map_of` makes the type of a task's targets: ids (H, W), or (C, H, W) float32. What geometry does to their values
says the task's kind; what lies outside of the image is filled with its missing value; no colour operation touches them.
Geometric operations of torchvision without a kernel here (rotate, affine, perspective, elastic, resized_crop) raise
instead of leaving the targets misaligned.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, ClassVar, cast

import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as tv

from vtadapt.tasks import Task


class TargetMap(tv_tensors.TVTensor):
    """Base of the types that :func:`map_of` makes."""

    task: ClassVar[Task]
    missing: ClassVar[float]
    """Fills what lies outside of the image."""

    def __new__(cls, data: Any, *, dtype: torch.dtype | None = None) -> TargetMap:
        """Wrap a tensor (or what ``torch.as_tensor`` takes)."""
        return cast("TargetMap", cls._to_tensor(data, dtype=dtype).as_subclass(cls))


class Frame(tv_tensors.TVTensor):
    """Stands for an image that nobody looks at: it has the size that random crops are drawn by, and no pixels."""

    @staticmethod
    def of(size: tuple[int, int]) -> Frame:
        """An image of ``size`` (H, W); it takes no memory."""
        return torch.empty(()).expand(size).as_subclass(Frame)


@functools.cache
def map_of(task: Task) -> type[TargetMap]:
    """The type of the targets of a task, the same for the same task."""
    found = type("TargetMap", (TargetMap,), {"task": task, "missing": task.behaviour.missing(task)})
    _register(found)
    return found


def plain(tensor: Tensor) -> Tensor:
    """The tensor without its TVTensor type (which costs time at every operation)."""
    return tensor.as_subclass(Tensor)


def crop_filled(tensor: Tensor, box: tuple[int, int, int, int], fill: float | Tensor) -> Tensor:
    """Cut ``box`` = (top, left, height, width) out of (..., H, W); what lies outside becomes ``fill``."""
    top, left, height, width = box
    rows, columns = tensor.shape[-2:]
    y0, y1 = max(top, 0), min(top + height, rows)
    x0, x1 = max(left, 0), min(left + width, columns)
    inside = tensor[..., y0:y1, x0:x1] if y1 > y0 and x1 > x0 else tensor[..., :0, :0]
    if inside.shape[-2:] == (height, width):
        return inside
    result = tensor.new_empty((*tensor.shape[:-2], height, width))
    result.copy_(torch.as_tensor(fill, dtype=tensor.dtype)) if isinstance(fill, Tensor) else result.fill_(fill)
    if inside.numel():
        result[..., y0 - top : y1 - top, x0 - left : x1 - left] = inside
    return result


def resize_target(target: TargetMap, size: Sequence[int]) -> Tensor:
    """Resize to (height, width) as its kind does."""
    return tv_tensors.wrap(target.task.behaviour.resize(plain(target), size), like=target)


def flip_target(target: TargetMap) -> Tensor:
    """Mirror left and right."""
    return tv_tensors.wrap(target.task.behaviour.mirror(plain(target), -1), like=target)


def flip_target_vertically(target: TargetMap) -> Tensor:
    """Mirror up and down."""
    return tv_tensors.wrap(target.task.behaviour.mirror(plain(target), -2), like=target)


def crop_target(target: TargetMap, box: tuple[int, int, int, int]) -> Tensor:
    """Cut ``box`` out, filled with the missing value outside the image."""
    return tv_tensors.wrap(crop_filled(plain(target), box, target.missing), like=target)


def _resize_kernel(inpt: TargetMap, size: list[int] | None, *_: Any, **rest: Any) -> Tensor:
    if size is None or len(size) != 2 or rest.get("max_size") is not None:
        raise ValueError(f"targets are resized to [height, width], found {size}")
    return resize_target(inpt, size)


def _crop_kernel(inpt: TargetMap, top: int, left: int, height: int, width: int) -> Tensor:
    return crop_target(inpt, (top, left, height, width))


def _pad_kernel(inpt: TargetMap, padding: list[int], *_: Any, **rest: Any) -> Tensor:
    if rest.get("padding_mode", "constant") != "constant":
        raise ValueError("targets can only be padded with their missing value (padding_mode='constant')")
    sides = [padding] * 4 if isinstance(padding, int) else list(padding)
    left, top, right, bottom = {1: sides * 4, 2: sides * 2, 4: sides}[len(sides)]
    height, width = inpt.shape[-2:]
    return crop_target(inpt, (-top, -left, height + top + bottom, width + left + right))


def _center_crop_kernel(inpt: TargetMap, output_size: list[int]) -> Tensor:
    height, width = output_size
    top, left = round((inpt.shape[-2] - height) / 2), round((inpt.shape[-1] - width) / 2)
    return crop_target(inpt, (top, left, height, width))


def _refuse(inpt: TargetMap, *_: Any, **__: Any) -> Tensor:
    name = inpt.task.name
    raise TypeError(f"no kernel of this geometric transform for targets: it would misalign those of task {name!r}")


def _register(target_type: type[TargetMap]) -> None:
    """Tell torchvision how its functionals act on a type (on exactly that: it does not look at bases)."""
    for functional, kernel in (
        (tv.resize, _resize_kernel),
        (tv.crop, _crop_kernel),
        (tv.pad, _pad_kernel),
        (tv.center_crop, _center_crop_kernel),
        (tv.horizontal_flip, flip_target),
        (tv.vertical_flip, flip_target_vertically),
        (tv.rotate, _refuse),
        (tv.affine, _refuse),
        (tv.perspective, _refuse),
        (tv.elastic, _refuse),
        (tv.resized_crop, _refuse),
    ):
        tv.register_kernel(functional, target_type)(kernel)
