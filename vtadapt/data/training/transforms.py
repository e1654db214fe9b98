"""Joint transforms of an image and its targets, on torchvision v2.

Any torchvision v2 transform works on a sample, because the target types know their geometry
(``vtadapt.data.training.target_maps``).
The ones here do scale, crop and flip in one step, which costs a third of the separate transforms.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
import torch.nn.functional as nn_functional
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from vtadapt.data.training.target_maps import TargetMap, crop_filled, crop_target, flip_target, plain, resize_target

Sample = dict[str, Any]
# What surrounds a shrunken image: the mean of ImageNet, which a model's normalisation turns into 0.
SURROUND = (0.485, 0.456, 0.406)


def resize_image(image: Tensor, size: Sequence[int]) -> Tensor:
    """Resize (3, H, W) float: bilinear, antialiased when shrinking."""
    if tuple(image.shape[-2:]) == tuple(size):
        return image
    shrinks = size[0] < image.shape[-2] or size[1] < image.shape[-1]
    return nn_functional.interpolate(image[None], size=tuple(size), mode="bilinear", antialias=shrinks)[0]


class ScaleCropFlip(v2.Transform):
    """Random zoom by s, crop of ``size`` and mirror, the same for image and targets.

    A box of ``size / s`` pixels is cut out at random (out of the image where s makes it larger than the image: there
    the targets are missing) and resized to ``size``. Zooming by s makes things look s times nearer, so distances are
    divided by s: an object's width in metres, distance x pixels / focal length, stays what it was. Normals keep their
    direction, as for an object moved nearer.

    Args:
        size: (height, width) of the result.
        scale: range of s; drawn uniformly in log s.
        flip: probability of a mirror.
    """

    def __init__(self, size: tuple[int, int], scale: tuple[float, float] = (0.8, 1.5), flip: float = 0.5) -> None:
        super().__init__()
        if min(size) < 1 or not 0 < scale[0] <= scale[1] or not 0 <= flip <= 1:
            raise ValueError(f"wanted size >= 1, 0 < low <= high, 0 <= flip <= 1; found {size}, {scale}, {flip}")
        self.size, self.scale, self.flip = tuple(size), tuple(scale), flip

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Draw one box, scale and mirror for all inputs (torchvision calls this)."""
        height, width = next(x.shape[-2:] for x in flat_inputs if isinstance(x, tv_tensors.TVTensor))
        low, high = (torch.tensor(s).log() for s in self.scale)
        draw = torch.rand(4)
        factor = float((low + (high - low) * draw[0]).exp())
        box = [max(1, round(side / factor)) for side in self.size]
        corner = [round(float(d) * (side - b)) for d, side, b in zip(draw[1:3], (height, width), box, strict=True)]
        # Rounding the box to whole pixels changes the zoom a little; the distances follow what was really done.
        zoom = (self.size[0] * self.size[1] / (box[0] * box[1])) ** 0.5
        return {"box": (*corner, *box), "zoom": zoom, "mirror": bool(draw[3] < self.flip)}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Apply the drawn parameters to one input; what is neither image nor target passes."""
        if isinstance(inpt, tv_tensors.Image):
            surround = torch.tensor(SURROUND).view(3, 1, 1)
            image = resize_image(crop_filled(plain(inpt), params["box"], surround), self.size)
            return tv_tensors.wrap(image.flip(-1) if params["mirror"] else image, like=inpt)
        if not isinstance(inpt, TargetMap):
            return inpt
        target = plain(resize_target(cast("TargetMap", crop_target(inpt, params["box"])), self.size))
        zoomed = tv_tensors.wrap(inpt.task.behaviour.zoomed(inpt.task, target, params["zoom"]), like=inpt)
        return flip_target(zoomed) if params["mirror"] else zoomed


class ScaleDistances(v2.Transform):
    """Multiply metric distances by a number; all else passes.

    With the ratio f' / f of two cameras' focal lengths in pixels: an object of so many pixels is that much further away
    from the second camera, since its width in metres is distance x pixels / focal length.

    Args:
        factor: above 0.
    """

    def __init__(self, factor: float) -> None:
        super().__init__()
        if not factor > 0:
            raise ValueError(f"wanted a factor above 0; found {factor}")
        self.factor = factor

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Scale one input where it is a distance; missing ones are 0 and stay so."""
        del params
        if not isinstance(inpt, TargetMap):
            return inpt
        return tv_tensors.wrap(inpt.task.behaviour.refocused(inpt.task, plain(inpt), self.factor), like=inpt)


class ResizeSample(v2.Transform):
    """Resize image and targets to ``size``; distances stay, since the camera's focal length is resized along."""

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = tuple(size)

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Resize one input; what is neither image nor target passes."""
        del params
        if isinstance(inpt, tv_tensors.Image):
            return tv_tensors.wrap(resize_image(plain(inpt), self.size), like=inpt)
        return resize_target(inpt, self.size) if isinstance(inpt, TargetMap) else inpt


class ColourJitter(v2.Transform):
    """Random brightness, contrast, saturation and colour cast of the image, in one pass; targets are untouched.

    y = b (c (x - m) + m) around the image's mean grey m, mixed with its grey by the saturation, times a gain per
    channel; all factors are drawn from 1 +- ``strength`` (the cast: a quarter of it), the result is clipped to 0..1.
    """

    def __init__(self, strength: float = 0.3) -> None:
        super().__init__()
        self.strength = strength

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Draw the factors (torchvision calls this)."""
        del flat_inputs
        draw = (torch.rand(6) * 2 - 1) * self.strength
        return {"factors": 1 + draw[:3], "cast": 1 + draw[3:] / 4}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Change the image's colours; everything else passes."""
        if not isinstance(inpt, tv_tensors.Image):
            return inpt
        image = plain(inpt)
        brightness, contrast, saturation = params["factors"]
        weights = torch.tensor((0.299, 0.587, 0.114))
        # All of it is linear in the pixel: one 3x3 matrix and an offset.
        matrix = brightness * contrast * (saturation * torch.eye(3) + (1 - saturation) * weights.expand(3, 3))
        mean = weights @ image.flatten(1).mean(dim=1)
        offset = brightness * (1 - contrast) * mean * params["cast"]
        matrix = matrix * params["cast"][:, None]
        mixed = torch.addmm(offset[:, None], matrix, image.flatten(1)).clamp_(0, 1)
        return tv_tensors.wrap(mixed.view_as(image), like=inpt)


def train_transform(
    size: tuple[int, int],
    scale: tuple[float, float] = (0.8, 1.5),
    flip: float = 0.5,
    colour: float = 0.3,
    distances: float = 1.0,
) -> Callable[[Sample], Sample]:
    """Augmentation for training: zoom, crop to ``size``, mirror, colours.

    Args:
        size: (height, width) of the result.
        scale: range of the zoom; (1, 1) for none.
        flip: probability of a mirror; 0 where left and right mean something.
        colour: strength of the colour jitter; 0 for none.
        distances: what distances are multiplied by, see :class:`ScaleDistances`.
    """
    steps: list[v2.Transform] = [ScaleCropFlip(size, scale, flip)]
    if colour:
        steps.append(ColourJitter(colour))
    if distances != 1:
        steps.append(ScaleDistances(distances))
    composed: Callable[[Sample], Sample] = v2.Compose(steps)
    return composed


def eval_transform(size: tuple[int, int] | None = None) -> Callable[[Sample], Sample] | None:
    """Nothing random: resize to ``size``, or leave the samples as they are stored."""
    return None if size is None else ResizeSample(size)
