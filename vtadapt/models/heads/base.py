"""What all heads have in common: one module per task, called on that task's features, at the image's size."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vtadapt.models.decoder import PatchExpand


class TaskHeads(nn.Module, ABC):
    """One module per task on the decoder's features, brought to the image's resolution.

    Subclasses take ``(width, channels, scale)``: the decoder's channels, those of each task's logits by its name, and
    the pixels per side of a token.
    """

    looks_at_image: ClassVar[bool] = False
    """Whether :meth:`detail` sees the image itself, and not its size alone."""

    def __init__(self, heads: Mapping[str, nn.Module]) -> None:
        """Keep the modules, by task."""
        super().__init__()
        self.heads = nn.ModuleDict(heads)

    @abstractmethod
    def draw(self, head: nn.Module, x: Tensor, detail: Tensor | None) -> Tensor:
        """(B, width, h, w) and what :meth:`detail` gave -> logits (B, channels, scale h, scale w)."""

    def detail(self, image: Tensor) -> Tensor | None:  # noqa: ARG002 - most heads do not look at the image
        """What the heads of all tasks see of the image itself, computed once; None for nothing."""
        return None

    def forward(
        self,
        x: Tensor,
        names: Sequence[str],
        image: Tensor,
        size: tuple[int, int],
        last: Sequence[PatchExpand | None] | None = None,
    ) -> dict[str, Tensor]:
        """Predict.

        Args:
            x: (B, T, width, h, w), one slice per name.
            names: of the tasks.
            image: (B, 3, H', W') as the encoder reads it: normalised and padded; x covers all of it.
            size: (H, W) before padding.
            last: what each task's tokens still pass before its head, which then is one 1x1 convolution.

        Returns:
            name -> (B, channels, H, W).
        """
        detail, out = self.detail(image), {}
        # Cut apart in one go: the gradient of x[:, i] is a map of all tasks, zero but for one, and that for every task.
        # Channels last, as decoders leave them, so that their gradients come back in this order.
        for name, expand, own in zip(names, last or [None] * len(names), x.movedim(2, -1).unbind(1), strict=True):
            if expand is None:
                logits = self.draw(self.heads[name], own.permute(0, 3, 1, 2), detail)
            else:
                logits = draw_expanded(cast(nn.Conv2d, self.heads[name]), expand, own)
            logits = resized(logits, (image.shape[-2], image.shape[-1]))
            out[name] = logits[..., : size[0], : size[1]]
        return out


def exporting() -> bool:
    """Whether a graph is drawn that shall serve batches of any size."""
    return torch.compiler.is_exporting() or torch.jit.is_tracing()


def pointwise(layer: nn.Conv2d, x: Tensor) -> Tensor:
    """Apply a 1x1 convolution with a bias: (B, C, h, w) -> (B, h w, out); without a copy, however C lies in memory."""
    if exporting():
        return F.linear(x.flatten(2).transpose(1, 2), layer.weight.flatten(1), layer.bias)
    weight = layer.weight.flatten(1).t().expand(x.shape[0], -1, -1)  # (B, C, out)
    return torch.baddbmm(cast(Tensor, layer.bias), x.flatten(2).transpose(1, 2), weight)


def draw_expanded(head: nn.Conv2d, expand: PatchExpand, x: Tensor) -> Tensor:
    """A 1x1 convolution of expanded tokens: (B, h, w, C) -> (B, channels, s h, s w).

    Image by image, which keeps what is at full resolution small, and with the few channels of the task laid out as a
    picture in place of the many of the tokens.
    """
    (_, h, w, _), s = x.shape, expand.scale
    maps = []
    # An exported graph is of any number of images, which a loop over them is not.
    for one in [x] if exporting() else x.split(1):
        logits = pointwise(head, expand.split(one).flatten(1, 4).transpose(1, 2)[..., None])  # (B, h w s s, channels)
        drawn = logits.view(-1, h, w, s, s, head.out_channels).permute(0, 5, 1, 3, 2, 4)
        maps.append(drawn.reshape(-1, head.out_channels, h * s, w * s))
    return torch.cat(maps)


def resized(x: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, C, h, w) -> (B, C, *size), bilinear; as it is where it has that size."""
    if x.shape[-2:] == size:
        return x
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)


def small(layer: nn.Conv2d) -> nn.Conv2d:
    """Give a last layer small weights and no bias, so that a fresh head says little; returns it."""
    nn.init.trunc_normal_(layer.weight, std=0.02)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
