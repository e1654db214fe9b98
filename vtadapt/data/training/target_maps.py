"""Dense targets as torchvision TVTensors that know how they flip, crop, resize and pad.

All are (C, H, W) float32 (class labels are ``torchvision.tv_tensors.Mask``, (H, W)). What lies outside the image is
filled with the type's missing value; no colour operation touches them. Geometric operations of torchvision without a
kernel here (rotate, affine, perspective, elastic, resized_crop) raise instead of leaving the targets misaligned.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, cast

import torch
import torch.nn.functional as nn_functional
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as tv

IGNORE = 255


class TargetMap(tv_tensors.TVTensor):
    """Base of the dense targets; ``missing`` fills what lies outside the image."""

    missing: ClassVar[float] = 0.0

    def __new__(cls, data: Any, *, dtype: torch.dtype | None = None) -> TargetMap:
        """Wrap a tensor (or what ``torch.as_tensor`` takes)."""
        return cast("TargetMap", cls._to_tensor(data, dtype=dtype).as_subclass(cls))


class ScalarMap(TargetMap):
    """(C, H, W) values that geometry does not change, such as curvature; NaN = missing."""

    missing = float("nan")


class DepthMap(TargetMap):
    """(1, H, W) metric distances; 0 = missing. ``ScaleCropFlip`` divides them by its scale factor."""


class NormalMap(TargetMap):
    """(3, H, W) unit vectors, +x right, +y down, +z away; (0, 0, 0) = missing. A horizontal flip negates x."""


class EdgeMap(TargetMap):
    """(1, H, W) boundary strength in 0..1; -1 = missing.

    Shrinking keeps the strongest boundary of the pixels that fall together, so that lines of one pixel do not break;
    a pixel is missing where the nearest one was and no boundary falls there. Enlarging is nearest.
    """

    missing = -1.0


def plain(tensor: Tensor) -> Tensor:
    """The tensor without its TVTensor type (which costs time at every operation)."""
    return tensor.as_subclass(Tensor)


def missing_of(target: Tensor) -> float:
    """Value that stands for "no label" in this target."""
    return float(IGNORE) if isinstance(target, tv_tensors.Mask) else cast("TargetMap", target).missing


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


def nearest(tensor: Tensor, size: Sequence[int]) -> Tensor:
    """Resize (..., H, W) to ``size``, each pixel from the one under its centre: floor((i + 1/2) H / h)."""
    height, width = tensor.shape[-2:]
    if (height, width) == tuple(size):
        return tensor
    rows = ((torch.arange(size[0]) * 2 + 1) * height).div(2 * size[0], rounding_mode="floor")
    columns = ((torch.arange(size[1]) * 2 + 1) * width).div(2 * size[1], rounding_mode="floor")
    return tensor.index_select(-2, rows).index_select(-1, columns)


def resize_edges(tensor: Tensor, size: Sequence[int]) -> Tensor:
    """Resize (1, H, W) boundaries; see ``EdgeMap``."""
    near = nearest(tensor, size)
    if size[0] >= tensor.shape[-2] and size[1] >= tensor.shape[-1]:
        return near
    strongest = nn_functional.adaptive_max_pool2d(tensor, (size[0], size[1]))
    return torch.where(strongest > near.clamp(min=0), strongest, near)


def resize_normals(tensor: Tensor, size: Sequence[int]) -> Tensor:
    """Resize (3, H, W) unit vectors: nearest, then to unit length again; zeros stay zeros."""
    near = nearest(tensor, size)
    return near / near.square().sum(dim=-3, keepdim=True).sqrt().clamp(min=1e-6)


def resize_target(target: Tensor, size: Sequence[int]) -> Tensor:
    """Resize a ``Mask`` or ``TargetMap`` as its type asks."""
    kind = EdgeMap if isinstance(target, EdgeMap) else NormalMap if isinstance(target, NormalMap) else Tensor
    how: Callable[[Tensor, Sequence[int]], Tensor]
    how = {EdgeMap: resize_edges, NormalMap: resize_normals, Tensor: nearest}[kind]
    return tv_tensors.wrap(how(plain(target), size), like=target)


def flip_target(target: Tensor) -> Tensor:
    """Mirror left and right; normals get -x, where a zero stays +0."""
    result = plain(target).flip(-1)
    if isinstance(target, NormalMap):
        result[0] = 0.0 - result[0]
    return tv_tensors.wrap(result, like=target)


def flip_target_vertically(target: Tensor) -> Tensor:
    """Mirror up and down; normals get -y."""
    result = plain(target).flip(-2)
    if isinstance(target, NormalMap):
        result[1] = 0.0 - result[1]
    return tv_tensors.wrap(result, like=target)


def crop_target(target: Tensor, box: tuple[int, int, int, int]) -> Tensor:
    """Cut ``box`` out, filled with the missing value outside the image."""
    return tv_tensors.wrap(crop_filled(plain(target), box, missing_of(target)), like=target)


def _resize_kernel(inpt: Tensor, size: list[int] | None, *_: Any, **rest: Any) -> Tensor:
    if size is None or len(size) != 2 or rest.get("max_size") is not None:
        raise ValueError(f"targets are resized to [height, width], found {size}")
    return resize_target(inpt, size)


def _crop_kernel(inpt: Tensor, top: int, left: int, height: int, width: int) -> Tensor:
    return crop_target(inpt, (top, left, height, width))


def _pad_kernel(inpt: Tensor, padding: list[int], *_: Any, **rest: Any) -> Tensor:
    if rest.get("padding_mode", "constant") != "constant":
        raise ValueError("targets can only be padded with their missing value (padding_mode='constant')")
    sides = [padding] * 4 if isinstance(padding, int) else list(padding)
    left, top, right, bottom = {1: sides * 4, 2: sides * 2, 4: sides}[len(sides)]
    height, width = inpt.shape[-2:]
    return crop_target(inpt, (-top, -left, height + top + bottom, width + left + right))


def _center_crop_kernel(inpt: Tensor, output_size: list[int]) -> Tensor:
    height, width = output_size
    top, left = round((inpt.shape[-2] - height) / 2), round((inpt.shape[-1] - width) / 2)
    return crop_target(inpt, (top, left, height, width))


def _refuse(inpt: Tensor, *_: Any, **__: Any) -> Tensor:
    raise TypeError(f"no kernel of this geometric transform for {type(inpt).__name__}: it would misalign the target")


def _register() -> None:
    """Tell torchvision how its functionals act on the target types (exact types: it does not look at bases)."""
    for kind in (ScalarMap, DepthMap, NormalMap, EdgeMap):
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
            tv.register_kernel(functional, kind)(kernel)


_register()
