"""Blocks with shifted windows, as Swin and SwinV2 have them: task-adapted attention inside timm's own windows."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from vtadapt.models.attention_maps import AttentionMaps, Head
from vtadapt.models.backbones.block import AdaptedBlock, Grid
from vtadapt.models.backbones.families.listening import probabilities
from vtadapt.models.backbones.plain.swin import MASKED, join, padded, partition

CAPTURED_AT_ONCE = 64  # windows whose probabilities of all heads are in memory together


class WindowBlock(AdaptedBlock):
    """A block of timm that attends inside windows, every second one shifted; tokens come as the map (h, w)."""

    @property
    def window(self) -> tuple[int, int]:
        """(height, width) of its windows."""
        height, width = self.module.window_size
        return int(height), int(width)

    @property
    def cell(self) -> tuple[int, int]:
        """Whole windows."""
        return self.window

    def windowed(self, x: Tensor, bias: Tensor, grid: Grid) -> Tensor:
        """Attend inside the block's (shifted) windows, with each task's own bias; no norm takes part.

        softmax(q k^T / sqrt(d) + relative position bias + bias [+ shift mask] [+ mask of padding]) v; SwinV2 has the
        cosine of q and k, scaled, in place of the product. The bias is the same for every head and window.

        Args:
            x: (B, T, h, w, C).
            bias: (T, N, N).
            grid: where the tokens lie; padding is never a key.

        Returns:
            (B, T, h, w, C).
        """
        block = self.module
        _, t, h, w, c = x.shape
        fit_shift(block, (h, w))
        window = self.window
        pad_h, pad_w = -h % window[0], -w % window[1]
        # Tasks are folded into the batch: the block's own weights serve all of them in one matrix product.
        x = padded(x.reshape(-1, h, w, c), pad_h, pad_w)
        shifted = any(block.shift_size)
        if shifted:
            x = torch.roll(x, shifts=(-block.shift_size[0], -block.shift_size[1]), dims=(1, 2))
        windows = partition(x, window).view(-1, window[0] * window[1], c)  # (B T nW, N, C)
        mask = bias[:, None]  # (T, 1, N, N)
        static = self._static_mask(x[:1], grid)
        # Without a static mask every window of a task has the same one, which expand repeats without a copy.
        count = ((h + pad_h) // window[0]) * ((w + pad_w) // window[1])
        mask = mask.expand(-1, count, -1, -1) if static is None else mask + static[None]
        # One mask per (task, window); timm repeats it over the batch, as (B, T, window) is the order of the windows.
        y = block.attn(windows, mask=mask.flatten(0, 1).to(x.dtype))
        y = join(y.view(-1, *window, c), (h + pad_h, w + pad_w))
        if shifted:
            y = torch.roll(y, shifts=block.shift_size, dims=(1, 2))
        # What was padded to whole windows is dropped again: the next block pads for its own shift.
        return y[:, :h, :w].reshape(-1, t, h, w, c)

    def _static_mask(self, x: Tensor, grid: Grid) -> Tensor | None:
        """Return the task-independent mask (nW, N, N): shifted regions do not mix, padding is never a key.

        Args:
            x: (1, H', W', C), padded to whole windows and shifted.
            grid: before padding to whole windows.
        """
        block = self.module
        mask = block.get_attn_mask(x)  # (nW, N, N) or None
        height, width = x.shape[1:3]
        if grid.valid is None and (height, width) == grid.size:
            return mask
        # 1 at tokens of the image, in the type of the tokens, since partition moves it as if it were features.
        keep = torch.zeros(1, height, width, 1, device=x.device, dtype=x.dtype)
        keep[0, : grid.size[0], : grid.size[1], 0] = 1.0 if grid.valid is None else grid.valid.to(x.dtype)
        if any(block.shift_size):
            keep = torch.roll(keep, shifts=(-block.shift_size[0], -block.shift_size[1]), dims=(1, 2))
        keys = partition(keep, self.window).flatten(1)  # (nW, N)
        # A finite value and not -inf: a window that is all padding would give 0/0, and NaN gradients.
        padding = ((1 - keys) * MASKED)[:, None, :]
        return padding.expand(-1, keys.shape[1], -1) if mask is None else mask + padding

    @abstractmethod
    def enter_attention(self, x: Tensor) -> Tensor:
        """Apply the norm before attention, where there is one there."""

    @torch.no_grad()
    def look(self, x: Tensor, bias: Tensor | None, grid: Grid, head: Head = "mean") -> list[AttentionMaps]:
        """Where the block looks, see :meth:`AdaptedBlock.look`; what it computes does not change by a bit.

        Fused attention never holds the probabilities. So the block's windows and mask are listened to, and timm's own
        unfused formula is run on them, whose softmax is read. Where the windows lie is learnt by sending the tokens'
        numbers down the same road. Nothing of either is written anew.
        """
        h, w, c = x.shape[-3:]
        fit_shift(self.module, (h, w))  # timm's own forward keeps the shift that it finds
        if bias is None:
            run: Callable[[Tensor], Tensor] = self.module._attn
            x = x.reshape(-1, h, w, c)
            one: Callable[[Tensor], Tensor] = run
        else:
            run = lambda tokens: self.windowed(tokens, bias, grid)  # noqa: E731
            one = lambda tokens: self.windowed(tokens[:, None], bias[:1], grid)  # noqa: E731
        windows, mask = self._heard(run, self.enter_attention(x))
        # Numbers from 1, in float32, which holds them exactly up to 16 million; padding adds zeros.
        numbers = torch.arange(1.0, h * w + 1, device=x.device).view(1, h, w, 1).expand(-1, -1, -1, c)
        numbered, seen = self._heard(one, numbers)
        places = (numbered[..., 0].round().long() - 1).cpu()
        if seen is None:
            visible = torch.ones(*places.shape, places.shape[1], dtype=torch.bool)
        else:
            visible = ((seen if bias is None else seen - bias[:1]) > MASKED / 2).cpu()

        def attend(attn: Any, chosen: Tensor) -> None:
            attn.forward(windows[chosen], mask=None if mask is None else mask[chosen % len(mask)])

        weights = probabilities(self.module.attn, len(windows), attend, head, at_once=CAPTURED_AT_ONCE)
        return [AttentionMaps(p, places, visible, (h, w), (h, w)) for p in weights.split(len(places))]

    def _heard(self, run: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, Tensor | None]:
        """The windows (M, N, C) and the mask that timm's attention is called with when ``run(x)`` runs."""
        heard: list[tuple[Tensor, Tensor | None]] = []
        attn: nn.Module = self.module.attn
        handle = attn.register_forward_pre_hook(
            lambda _, inputs, named: heard.append((inputs[0], named.get("mask"))), with_kwargs=True
        )
        try:
            run(x)
        finally:
            handle.remove()
        return heard[0]


class ShiftMask:
    """The mask of a block with shifted windows, as timm makes it but with :data:`MASKED`; made once for each size."""

    def __init__(self, block: Any) -> None:
        """Serve ``block``, which must have timm's ``get_attn_mask``."""
        self.block = block
        self.key: tuple[Any, ...] = ()
        self.mask: Tensor | None = None

    def __call__(
        self, x: Tensor | None = None, device: torch.device | None = None, dtype: torch.dtype | None = None
    ) -> Tensor | None:
        """(nW, N, N) for tokens x (B, H, W, C), padded to whole windows; None where the windows are not shifted."""
        if x is None:
            return type(self.block).get_attn_mask(self.block, None, device, dtype)
        key = (*x.shape[1:3], *self.block.window_size, *self.block.shift_size, x.device, x.dtype)
        if key != self.key:
            mask: Tensor | None = type(self.block).get_attn_mask(self.block, x)
            self.key, self.mask = key, None if mask is None else mask.masked_fill(mask != 0, MASKED)
        return self.mask


def keep_mask(block: Any) -> None:
    """Give a Swin block of timm, which is changed, the masks of :class:`ShiftMask`; what it computes stays the same.

    timm makes the mask anew in every call, and with a value that leaves denormal numbers.
    """
    block.get_attn_mask = ShiftMask(block)


def fit_shift(block: Any, size: tuple[int, int]) -> None:
    """Shift the block's windows where the feature map is larger than a window, and only there.

    timm decides this once, for the image size at construction: a stage of one window never shifts. On a larger image
    the windows of such a stage would never exchange anything, so the rule is applied to the size at hand.

    Args:
        block: every second block of a stage shifts (``target_shift_size`` is not zero).
        size: (H, W) of its feature map in tokens.
    """
    if any(block.target_shift_size):
        height, width = (0 if n <= w else w // 2 for n, w in zip(size, block.window_size, strict=True))
        block.shift_size = (height, width)
