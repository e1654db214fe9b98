"""A Swin (Liu et al., ICCV 2021, arXiv 2103.14030) in plain PyTorch: what the bundled encoder needs, and no library.

The networks of timm are imported with all of timm and torchvision, which takes longer than predicting a photograph.
This one has timm's names of weights and timm's order of operations: it takes the same state dicts and gives the same
features to the bit, which ``tests/models/backbones/test_plain_swin.py`` holds. All other encoders are timm's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

MASKED = -200.0
"""Added to the logits of keys that must not be seen. timm's -100 leaves them probabilities of about 4e-44: denormal
numbers, with which processors multiply tens of times slower; of this they are exactly 0. Far lower values would round
the logits of windows that are all padding."""
FEED_FORWARD = 4  # times the channels

Size = tuple[int, int]


def partition(x: Tensor, window: Size) -> Tensor:
    """(B, H, W, C) -> windows (B nW, *window, C), row by row; H and W are multiples of the window's."""
    h, w, c = x.shape[1:]
    tiles = x.view(-1, h // window[0], window[0], w // window[1], window[1], c)
    return tiles.transpose(2, 3).contiguous().view(-1, *window, c)


def join(windows: Tensor, size: Size) -> Tensor:
    """(B nW, *window, C) -> (B, *size, C), which :func:`partition` cut."""
    rows, columns, c = windows.shape[1:]
    tiles = windows.view(-1, size[0] // rows, size[1] // columns, rows, columns, c)
    return tiles.transpose(2, 3).contiguous().view(-1, *size, c)


def padded(x: Tensor, rows: int, columns: int) -> Tensor:
    """(B, H, W, C) with so many rows and columns of zeros more, below and to the right; x itself where none are."""
    return F.pad(x, (0, 0, 0, columns, 0, rows)) if rows or columns else x  # F.pad copies in any case


class PatchMerging(nn.Module):
    """(B, H, W, C) -> (B, H/2, W/2, out): channels of 2 x 2 tokens beside each other, norm, Linear."""

    def __init__(self, dim: int, out: int) -> None:
        """Create for ``dim`` channels."""
        super().__init__()
        self.norm = nn.LayerNorm(4 * dim)
        self.reduction = nn.Linear(4 * dim, out, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Merge; odd sides are padded with zeros."""
        x = padded(x, x.shape[1] % 2, x.shape[2] % 2)
        x = x.unflatten(2, (-1, 2)).unflatten(1, (-1, 2))  # (B, H/2, 2, W/2, 2, C)
        # Of the four tokens the left two come first, as in the weights of the authors.
        return self.reduction(self.norm(x.permute(0, 1, 3, 4, 2, 5).flatten(3)))


class WindowAttention(nn.Module):
    """Self-attention inside windows, with a learned bias for every offset between two of their tokens."""

    relative_position_index: Tensor

    def __init__(self, dim: int, heads: int, window: Size) -> None:
        """Create for windows of ``window`` tokens."""
        super().__init__()
        self.num_heads, self.scale = heads, (dim // heads) ** -0.5
        offsets = (2 * window[0] - 1) * (2 * window[1] - 1)
        self.relative_position_bias_table = nn.Parameter(torch.zeros(offsets, heads))
        self.register_buffer("relative_position_index", _offset_numbers(window), persistent=False)
        self.qkv = nn.Linear(dim, 3 * dim)
        self.attn_drop = nn.Identity()  # a place to read the probabilities at; nothing is dropped
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """softmax(q k^T / sqrt(d) + bias [+ mask]) v.

        Args:
            x: windows (M, N, C).
            mask: (windows of an image, N, N), added to the logits of every head.

        Returns:
            (M, N, C).
        """
        n, c = x.shape[1:]
        q, k, v = self.qkv(x).reshape(-1, n, 3, self.num_heads, c // self.num_heads).permute(2, 0, 3, 1, 4).unbind(0)
        logits = (q * self.scale) @ k.transpose(-2, -1) + self._position_bias()
        if mask is not None:
            logits = (logits.view(-1, len(mask), self.num_heads, n, n) + mask[None, :, None]).flatten(0, 1)
        p = self.attn_drop(logits.softmax(-1))
        return self.proj((p @ v).transpose(1, 2).reshape(-1, n, c))

    def _position_bias(self) -> Tensor:
        """(1, heads, N, N)."""
        n = len(self.relative_position_index)
        bias = self.relative_position_bias_table[self.relative_position_index.flatten()].view(n, n, -1)
        return bias.permute(2, 0, 1).contiguous()[None]


def _offset_numbers(window: Size) -> Tensor:
    """(N, N): the number, row by row, of the offset from token j of a window to token i."""
    places = torch.cartesian_prod(torch.arange(window[0]), torch.arange(window[1])).view(-1, 2)
    offset = places[:, None] - places[None] + torch.tensor(window) - 1  # from 0
    return offset[..., 0] * (2 * window[1] - 1) + offset[..., 1]


class FeedForward(nn.Module):
    """Linear, GELU, Linear on each token."""

    def __init__(self, dim: int) -> None:
        """Create for ``dim`` channels."""
        super().__init__()
        self.fc1 = nn.Linear(dim, FEED_FORWARD * dim)
        self.fc2 = nn.Linear(FEED_FORWARD * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) -> (..., C)."""
        return self.fc2(F.gelu(self.fc1(x)))


class Block(nn.Module):
    """y = x + attention(LN1 x), y + FF(LN2 y); attention inside windows that every second block shifts.

    Attributes:
        window_size: (height, width) of the windows in tokens.
        target_shift_size: by how many tokens the windows of this block are shifted where the map is larger than they.
        shift_size: by how many they are shifted now.
    """

    def __init__(self, dim: int, heads: int, window: Size, shifts: bool, size: Size) -> None:
        """Create for maps of ``size`` tokens: windows are not larger than these."""
        super().__init__()
        inside = (min(window[0], size[0]), min(window[1], size[1]))
        self.window_size: Size = inside
        self.target_shift_size: Size = (window[0] // 2, window[1] // 2) if shifts else (0, 0)
        height, width = (0 if n <= w else s for n, w, s in zip(size, inside, self.target_shift_size, strict=True))
        self.shift_size: Size = (height, width)
        self.norm1 = nn.LayerNorm(dim)
        self.attn = WindowAttention(dim, heads, inside)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = FeedForward(dim)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) -> (B, H, W, C)."""
        x = x + self._attn(self.norm1(x))
        y = x.flatten(1, 2)
        return (y + self.mlp(self.norm2(y))).view(-1, *x.shape[1:])

    def _attn(self, x: Tensor) -> Tensor:
        """Attention inside (shifted) windows; the map is padded with zeros to whole ones, which are attended to."""
        (height, width), (rows, columns), (down, right) = x.shape[1:3], self.window_size, self.shift_size
        shifted = any(self.shift_size)
        if shifted:
            x = x.roll((-down, -right), (1, 2))
        x = padded(x, -height % rows, -width % columns)
        y = self.attn(partition(x, self.window_size).flatten(1, 2), mask=self.get_attn_mask(x))
        y = join(y.unflatten(1, self.window_size), (x.shape[1], x.shape[2]))[:, :height, :width]
        return y.roll(self.shift_size, (1, 2)) if shifted else y.contiguous()

    def get_attn_mask(self, x: Tensor) -> Tensor | None:
        """(windows of an image, N, N), :data:`MASKED` where two tokens of a window came from two ends of the map.

        Args:
            x: (B, H, W, C), whole windows, shifted.
        """
        if not any(self.shift_size):
            return None
        ends = zip(x.shape[1:3], self.window_size, self.shift_size, strict=True)
        rows, columns = (_regions(*each, x) for each in ends)
        regions = partition((3 * rows[:, None] + columns)[None, :, :, None], self.window_size).flatten(1)
        apart = regions[:, None] != regions[:, :, None]
        return torch.zeros(apart.shape, dtype=x.dtype, device=x.device).masked_fill(apart, MASKED)


def _regions(length: int, window: int, shift: int, like: Tensor) -> Tensor:
    """(length,): 0 for whole windows, 1 and 2 for the two ends of the map that share the last after a shift."""
    place = torch.arange(length, device=like.device)
    return (place >= length - window).long() + (place >= length - shift).long() if shift else torch.zeros_like(place)


class Stage(nn.Module):
    """Blocks on maps of one size, after a patch merging in all stages but the first."""

    def __init__(self, dim: int, out: int, depth: int, heads: int, window: Size, size: Size) -> None:
        """Create ``depth`` blocks of ``out`` channels for maps of ``size`` tokens."""
        super().__init__()
        self.downsample: nn.Module = nn.Identity() if dim == out else PatchMerging(dim, out)
        self.blocks = nn.Sequential(*(Block(out, heads, window, i % 2 == 1, size) for i in range(depth)))


class PatchEmbed(nn.Module):
    """(B, 3, H, W) -> (B, H/p, W/p, C): one token per p x p pixels, and a norm."""

    def __init__(self, patch: int, dim: int) -> None:
        """Create for ``dim`` channels."""
        super().__init__()
        self.proj = nn.Conv2d(3, dim, patch, patch)
        self.norm = nn.LayerNorm(dim)

    def forward(self, x: Tensor) -> Tensor:
        """Embed; H and W are multiples of the patch's side."""
        return self.norm(self.proj(x).permute(0, 2, 3, 1))


class PlainSwin(nn.Module):
    """The modules of a Swin, which :class:`vtadapt.models.backbones.families.swin.SwinBackbone` runs; no classifier.

    Attributes:
        feature_info: of every stage {"num_chs", "reduction"}: its channels, and pixels per token and side.
    """

    def __init__(
        self,
        *,
        img_size: int,
        patch_size: int,
        embed_dim: int,
        depths: Sequence[int],
        num_heads: Sequence[int],
        window_size: int,
    ) -> None:
        """Create from what timm calls the same; weights wait for a state dict.

        Args:
            img_size: side in pixels of the images whose maps bound the windows; others may be of any size.
            patch_size: side in pixels of a token of the first stage.
            embed_dim: channels C of the first stage; stage i has 2^i C.
            depths: blocks of each stage.
            num_heads: attention heads of each stage.
            window_size: side of the windows in tokens.
        """
        super().__init__()
        self.patch_embed = PatchEmbed(patch_size, embed_dim)
        stages: list[Stage] = []
        self.feature_info: list[dict[str, Any]] = []
        for i, (depth, heads) in enumerate(zip(depths, num_heads, strict=True)):
            dim, side = embed_dim * 2**i, img_size // patch_size // 2**i
            before = dim if i == 0 else dim // 2
            stages.append(Stage(before, dim, depth, heads, (window_size, window_size), (side, side)))
            self.feature_info.append({"num_chs": dim, "reduction": patch_size * 2**i})
        self.layers = nn.Sequential(*stages)
        self.norm = nn.LayerNorm(embed_dim * 2 ** (len(depths) - 1))


def initialise(net: nn.Module) -> None:
    """Draw initial values as Swin's authors do: linear layers from a normal of 0.02 cut at two, biases zero.

    Convolutions keep torch's own.
    """
    for module in net.modules():
        if isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, WindowAttention):
            nn.init.trunc_normal_(module.relative_position_bias_table, std=0.02)
