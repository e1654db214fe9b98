"""Task-adapted attention: timm's window attention with one learned, task-modulated bias per adapted block.

Also the capture of attention probabilities, of the block's own attention and of the task-adapted one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from timm.models.swin_transformer import SwinTransformerBlock, window_partition, window_reverse
from torch import Tensor, nn
from torch.nn import functional as F

from vtadapt.models.attention_maps import AttentionMaps, Head
from vtadapt.models.conditioning import FiLM

MASKED = -100.0  # added to the logits of keys that must not be seen; timm's own value for shifted windows
CAPTURED_AT_ONCE = 64  # windows whose probabilities of all heads are in memory together


class TaskAdaptedAttention(nn.Module):
    """The task's own addition to the attention logits of one block.

    A0 in R^{N x w} starts at zero; FiLM(z_t) gives A0'(z_t) in R^{N x w}; its rows are cut into chunks of w rows which
    are laid block-diagonally into A'(z_t) in R^{N x N}, the other cells are empty (slides). The block then computes

        softmax(q k^T / sqrt(d) + relative position bias + A'(z_t) [+ shift mask]) v

    with the same A' for every head and window. With A' = 0 this is the block's own attention.
    """

    def __init__(self, window_size: tuple[int, int], embedding_dim: int) -> None:
        """Create A0 and its FiLM layer for windows of ``window_size`` tokens (height, width)."""
        super().__init__()
        self.window_size = window_size
        height, width = window_size
        self.a0 = nn.Parameter(torch.zeros(height * width, width))
        self.film = FiLM(embedding_dim, width)

    def bias(self, z: Tensor) -> Tensor:
        """A'(z), block-diagonal.

        Args:
            z: (T, E).

        Returns:
            (T, N, N); entry [t, i, j] is added to the logit of query i and key j.
        """
        height, width = self.window_size
        blocks = self.film(self.a0, z).view(-1, height, width, width)  # (T, h, w, w)
        eye = torch.eye(height, dtype=blocks.dtype, device=blocks.device)
        full = torch.einsum("tipq,ij->tipjq", blocks, eye)  # (T, h, w, h, w)
        return full.reshape(-1, height * width, height * width)

    def forward(self, block: SwinTransformerBlock, x: Tensor, z: Tensor, valid: Tensor | None = None) -> Tensor:
        """Attend inside the block's (shifted) windows, with each task's own A'.

        Args:
            block: the timm block whose qkv, projection, position bias, window and shift are used.
            x: (B, T, H, W, C), already normalised.
            z: (T, E).
            valid: (H, W) bool, False for tokens that are padding of the image; None when there are none.

        Returns:
            (B, T, H, W, C).
        """
        b, t, h, w, c = x.shape
        fit_shift(block, (h, w))
        window = block.window_size
        pad_h, pad_w = -h % window[0], -w % window[1]
        x = F.pad(x.reshape(b * t, h, w, c), (0, 0, 0, pad_w, 0, pad_h))
        shifted = any(block.shift_size)
        if shifted:
            x = torch.roll(x, shifts=(-block.shift_size[0], -block.shift_size[1]), dims=(1, 2))
        windows = window_partition(x, window).view(-1, window[0] * window[1], c)  # (B T nW, N, C)
        mask = self.bias(z)[:, None]  # (T, 1, N, N)
        static = _static_mask(block, x[:1], (h, w), valid)
        mask = mask.expand(-1, windows.shape[0] // (b * t), -1, -1) if static is None else mask + static[None]
        # One mask per (task, window); timm repeats it over the batch, as (B, T, window) is the order of the windows.
        y = block.attn(windows, mask=mask.flatten(0, 1).to(x.dtype))
        y = window_reverse(y.view(-1, *window, c), window, h + pad_h, w + pad_w)
        if shifted:
            y = torch.roll(y, shifts=block.shift_size, dims=(1, 2))
        return y[:, :h, :w].reshape(b, t, h, w, c)


def fit_shift(block: SwinTransformerBlock, size: tuple[int, int]) -> None:
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


def _static_mask(block: SwinTransformerBlock, x: Tensor, size: tuple[int, int], valid: Tensor | None) -> Tensor | None:
    """Return the task-independent mask (nW, N, N): shifted regions do not mix, padding is never a key.

    Args:
        block: gives window and shift.
        x: (1, H', W', C), padded to whole windows and shifted.
        size: (H, W) before padding to whole windows.
        valid: (H, W) bool or None.
    """
    mask = block.get_attn_mask(x)  # (nW, N, N) or None
    height, width = x.shape[1:3]
    if valid is None and (height, width) == size:
        return mask
    keep = torch.zeros(1, height, width, 1, device=x.device, dtype=x.dtype)
    keep[0, : size[0], : size[1], 0] = 1.0 if valid is None else valid.to(x.dtype)
    if any(block.shift_size):
        keep = torch.roll(keep, shifts=(-block.shift_size[0], -block.shift_size[1]), dims=(1, 2))
    keys = window_partition(keep, block.window_size).flatten(1)  # (nW, N)
    padding = ((1 - keys) * MASKED)[:, None, :]
    return padding.expand(-1, keys.shape[1], -1) if mask is None else mask + padding


@contextmanager
def recording(
    block: SwinTransformerBlock, attention: TaskAdaptedAttention | None, head: Head = "mean"
) -> Iterator[list[AttentionMaps]]:
    """Note the attention probabilities of a block each time it runs; what it computes does not change by a bit.

    Fused attention never holds the probabilities. So before the block attends, timm's own unfused formula is run once
    more on the very same windows and mask, and its softmax is read; the block's own run then follows untouched. Where
    the windows lie is learnt by sending the tokens' numbers down the same road. Nothing of either is written anew.

    Args:
        block: the backbone's block.
        attention: the task-adapted attention that runs ``block``; None for the block's own forward.
        head: "mean" over heads, one head's number, or "all".

    Yields:
        A list that gets one entry per image and task, in the order of the folded batch (B, T). Entries lie on the CPU.
    """
    found: list[AttentionMaps] = []
    layout: list[tuple[Tensor, Tensor, tuple[int, int]]] = []

    def before(_: nn.Module, args: Any) -> None:
        layout[:] = [_layout(block, attention, args)]

    def attend(attn: nn.Module, args: Any, kwargs: Any) -> None:
        if not layout:  # someone else runs the block
            return
        places, visible, size = layout.pop()
        weights = _probabilities(attn, args[0], kwargs.get("mask"), head)
        found.extend(AttentionMaps(w, places, visible, size, size) for w in weights.split(len(places)))

    runner: nn.Module = block if attention is None else attention
    handles = [
        runner.register_forward_pre_hook(before),
        block.attn.register_forward_pre_hook(attend, with_kwargs=True),
    ]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


@torch.no_grad()
def _layout(
    block: SwinTransformerBlock, attention: TaskAdaptedAttention | None, args: Any
) -> tuple[Tensor, Tensor, tuple[int, int]]:
    """Places (M, N) and visibility (M, N, N) of a block's windows, see :class:`AttentionMaps`, and the map's size.

    Args:
        block: the backbone's block.
        attention: what runs it, or None.
        args: what the runner is about to be called with.
    """
    x = args[0] if attention is None else args[1]
    h, w, c = x.shape[-3:]
    # Numbers from 1, in float32, which holds them exactly up to 16 million; padding adds zeros.
    numbers = torch.arange(1.0, h * w + 1, device=x.device).view(1, h, w, 1).expand(-1, -1, -1, c)
    heard: list[tuple[Tensor, Tensor | None]] = []
    handle = block.attn.register_forward_pre_hook(
        lambda _, inputs, named: heard.append((inputs[0], named.get("mask"))), with_kwargs=True
    )
    try:
        if attention is None:
            block._attn(numbers)
        else:
            attention.forward(block, numbers[:, None], args[2][:1], *args[3:])
    finally:
        handle.remove()
    windows, mask = heard[0]
    places = windows[..., 0].round().long() - 1
    if mask is None:
        visible = torch.ones(*places.shape, places.shape[1], dtype=torch.bool)
    else:
        mask = mask if attention is None else mask - attention.bias(args[2][:1])
        visible = mask > MASKED / 2
    return places.cpu(), visible.cpu(), (h, w)


@torch.no_grad()
def _probabilities(attn: Any, x: Tensor, mask: Tensor | None, head: Head) -> Tensor:
    """Run timm's unfused attention on windows x (M, N, C) and return its probabilities, (M, heads or 1, N, N)."""
    heard: list[Tensor] = []

    def read(_: nn.Module, inputs: Any) -> None:
        p = inputs[0].float()
        p = p.mean(1, keepdim=True) if head == "mean" else p if isinstance(head, str) else p[:, head : head + 1]
        heard.append(p.cpu())

    handle = attn.attn_drop.register_forward_pre_hook(read)  # its input is the softmax
    fused, attn.fused_attn = attn.fused_attn, False
    try:
        for chosen in torch.arange(len(x), device=x.device).split(CAPTURED_AT_ONCE):
            attn.forward(x[chosen], mask=None if mask is None else mask[chosen % len(mask)])
    finally:
        attn.fused_attn = fused
        handle.remove()
    return torch.cat(heard)
