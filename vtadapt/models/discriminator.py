"""The network that tells predictions on one domain from those on another, for unsupervised domain adaptation."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from vtadapt.errors import ConfigError

LAYERS = 5
SMALLEST = 2**LAYERS  # pixels of a side of which one patch is left


class Discriminator(nn.Module):
    """Five 4x4 convolutions of stride 2, LeakyReLU 0.2 between them, a logit for each patch of 32 pixels.

    Channels are C -> w -> 2w -> 4w -> 8w -> 1 with w = 64 `[paper]`, as in the discriminators of ADVENT (Vu et al.,
    CVPR 2019); every convolution has spectral norm, so that each layer's largest singular value is about 1 and the
    gradient that reaches the generator stays bounded. In training mode each forward takes one step of the power
    iteration behind that norm, which changes buffers; in eval mode a forward changes nothing.

    Padding of 1 [ours]: maps are small here (96x192), and each layer then halves even sides exactly.
    """

    def __init__(self, channels: int, width: int = 64) -> None:
        """Draw initial values from torch's generator.

        Args:
            channels: of the maps that it sees.
            width: w.
        """
        super().__init__()
        sizes = (channels, width, 2 * width, 4 * width, 8 * width, 1)
        layers: list[nn.Module] = []
        for before, after in pairwise(sizes):
            layers += [spectral_norm(nn.Conv2d(before, after, 4, stride=2, padding=1)), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers[:-1])

    def forward(self, maps: Tensor) -> Tensor:
        """(B, C, H, W) -> logits (B, 1, about H/32, about W/32); high where it takes them for the target's.

        Raises:
            ConfigError: maps of less than 32 pixels a side.
        """
        if min(maps.shape[-2:]) < SMALLEST:
            found = "x".join(str(side) for side in maps.shape[-2:])
            raise ConfigError(
                f"a discriminator sees maps of at least {SMALLEST}x{SMALLEST}, found {found}; raise --size"
            )
        logits: Tensor = self.layers(maps)
        return logits
