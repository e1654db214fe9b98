"""A run as one function of a picture: 8 bits or floats in, units out; any number and size of pictures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from vtadapt.tasks import Task

Input = Literal["uint8", "float"]


class PictureToUnits(nn.Module):
    """Brings pictures to the size that the network works at, runs it, brings its output back and decodes it.

    All of it is made of products of matrices and other plain operations, so that every exporter and runtime has them.
    """

    def __init__(self, network: nn.Module, tasks: Mapping[str, Task], size: tuple[int, int]) -> None:
        """Wrap a network.

        Args:
            network: (B, 3, H, W) in 0..1 -> task name -> logits.
            tasks: of its logits; those named here are predicted.
            size: (height, width) that it works at.
        """
        super().__init__()
        self.network, self.tasks, self.size = network, dict(tasks), size

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Predict.

        Args:
            image: (B, H, W, 3) RGB, uint8 or float32 in 0..1.

        Returns:
            Task name -> class ids (B, H, W) uint8 (int32 for more than 256), numbers (B, H, W) float32 in the task's
            units, vectors (B, H, W, C) float32, probabilities (B, H, W) float32.
        """
        height, width = image.shape[1], image.shape[2]
        planes = image.permute(0, 3, 1, 2).float()
        if image.dtype == torch.uint8:
            planes = planes / 255
        planes = resampled(planes, (height, width), self.size, smooth=True)
        logits = self.network(planes, tuple(self.tasks))
        found = {}
        for name, task in self.tasks.items():
            large = resampled(logits[name], self.size, (height, width), smooth=False)
            found[name] = _plain(task, task.decode(large))
        return found


def resampled(x: Tensor, own: tuple[int, int], size: tuple[int, int], *, smooth: bool) -> Tensor:
    """(B, C, *own) -> (B, C, *size), bilinear; ``smooth``: over all pixels that one covers, where it shrinks."""
    rows, columns = (weights(a, b, smooth, x) for a, b in zip(own, size, strict=True))
    return rows @ x @ columns.transpose(0, 1)


def weights(length: int, wanted: int, smooth: bool, like: Tensor) -> Tensor:
    """(wanted, length): how much each pixel of a side counts in each of the resized; rows sum to 1.

    Triangles of one pixel around c_i = (i + 1/2) length / wanted, or as wide as what one pixel of the result covers;
    what lies outside of the picture is left out. So does ``interpolate(mode="bilinear", align_corners=False)``, with
    ``antialias`` where it shrinks.
    """
    places = torch.arange(length, device=like.device).to(like.dtype) + 0.5
    step = torch.ones((), device=like.device) * length / wanted
    middles = (torch.arange(wanted, device=like.device).to(like.dtype) + 0.5) * step
    if not smooth:
        middles = torch.minimum(middles.clamp(min=0.5), torch.ones((), device=like.device) * length - 0.5)
    reach = step.clamp(min=1) if smooth else torch.ones_like(step)
    found = (1 - (places[None, :] - middles[:, None]).abs() / reach).clamp(min=0)
    return found / found.sum(1, keepdim=True)


def _plain(task: Task, decoded: Tensor) -> Tensor:
    """(B, H, W) or (B, C, H, W) as documented."""
    if task.behaviour.scores_classes:
        return decoded.to(torch.uint8 if task.channels <= 256 else torch.int32)
    return decoded[:, 0] if decoded.shape[1] == 1 else decoded.permute(0, 2, 3, 1)
