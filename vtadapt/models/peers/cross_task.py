"""The cross-task networks of cross-task consistency: from the labels of one task to those of another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from torch import Tensor, nn
from torch.nn import functional as F

GROUPS = 4


class Convolution(nn.Sequential):
    """3x3 convolution, group norm (nothing depends on the batch: the frozen network is the trained one), ReLU."""

    def __init__(self, channels: int, out: int, stride: int = 1) -> None:
        """Create the layers; ``out`` is a multiple of 4."""
        super().__init__(nn.Conv2d(channels, out, 3, stride, 1, bias=False), nn.GroupNorm(GROUPS, out), nn.ReLU())


class CrossTaskNetwork(nn.Module):
    """h_{t->i}: a UNet of three levels (H/2, H/4, H/8) from a map of task t to the logits of task i.

    Our reading: Zamir et al. (2020) use UNets of the full resolution and 30 times the channels; these are made small,
    since every step of training runs T (T - 1) of them twice.
    """

    def __init__(self, channels: int, out: int, width: int = 12) -> None:
        """Create the layers.

        Args:
            channels: of the map of task t.
            out: logits of task i.
            width: channels of the finest level, twice as many on the others; a multiple of 4.
        """
        super().__init__()
        wide = 2 * width
        self.down = nn.ModuleList(
            [Convolution(channels, width, 2), Convolution(width, wide, 2), Convolution(wide, wide, 2)]
        )
        self.bottom = Convolution(wide, wide)
        # Channels are brought down before they are brought up: half the work of concatenating first.
        self.side = nn.ModuleList([nn.Conv2d(wide, wide, 1), nn.Conv2d(wide, width, 1)])
        self.up = nn.ModuleList([Convolution(wide, wide), Convolution(width, width)])
        self.head = nn.Conv2d(width, out, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) of any size -> (B, out, H, W)."""
        size = x.shape[-2:]
        levels = []
        for down in self.down:
            x = down(x)
            levels.append(x)
        x = self.bottom(x)
        for side, up, skip in zip(self.side, self.up, levels[-2::-1], strict=True):
            x = up(skip + F.interpolate(side(x), size=skip.shape[-2:], mode="bilinear", align_corners=False))
        return F.interpolate(self.head(x), size=size, mode="bilinear", align_corners=False)


class CrossTaskNetworks(nn.Module):
    """One network for each ordered pair of tasks."""

    def __init__(self, channels: Mapping[str, int], pairs: Iterable[tuple[str, str]], width: int = 12) -> None:
        """Create the networks.

        Args:
            channels: task name -> channels, of its maps and of its logits alike.
            pairs: (t, i).
            width: see :class:`CrossTaskNetwork`; rounded up to a multiple of 4.
        """
        super().__init__()
        self.pairs = tuple(pairs)
        width += -width % GROUPS
        self.networks = nn.ModuleList(CrossTaskNetwork(channels[t], channels[i], width) for t, i in self.pairs)

    def __getitem__(self, pair: tuple[str, str]) -> nn.Module:
        """h_{t->i}."""
        return self.networks[self.pairs.index(pair)]
