"""DPT decoders (Ranftl et al., *Vision Transformers for Dense Prediction*, ICCV 2021) on a frozen encoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from vtadapt.models.backbones.base import Encoded, size_of
from vtadapt.models.frozen.base import FrozenModel
from vtadapt.models.multitask import Group


@dataclass(frozen=True)
class DptConfig:
    """The architecture after the encoder.

    Attributes:
        dpt_width: channels of the fusion blocks; the paper has 256.
    """

    dpt_width: int = 48


class ResidualUnit(nn.Module):
    """x + conv(ReLU(conv(ReLU(x)))), 3x3 both: the residual convolution unit of RefineNet (Lin et al. 2017)."""

    def __init__(self, width: int) -> None:
        """Create for ``width`` channels."""
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, h, w) -> (B, width, h, w)."""
        return x + self.second(F.relu(self.first(F.relu(x))))


class Fusion(nn.Module):
    """Join a level to what comes from the coarser ones, refine it, and bring it to the size of the next finer one."""

    def __init__(self, width: int, coarsest: bool) -> None:
        """Create for ``width`` channels; the ``coarsest`` level has nothing to be joined to."""
        super().__init__()
        self.level = None if coarsest else ResidualUnit(width)
        self.joined = ResidualUnit(width)
        self.project = nn.Conv2d(width, width, 1)

    def forward(self, level: Tensor, coarser: Tensor | None, size: tuple[int, int]) -> Tensor:
        """(B, width, h, w) and what came from the coarser levels, of the same size -> (B, width, *size)."""
        if self.level is not None and coarser is not None:
            level = self.level(level) + coarser
        return self.project(_resized(self.joined(level), size))


class DptDecoder(nn.Module):
    """One task's decoder and head.

    A 3x3 convolution brings each level to ``width`` channels, fusion blocks go from coarse to fine up to half the
    stride of the finest, and the head draws at full size: 3x3 to half the width, resized, 3x3, ReLU, 1x1 [paper]. Ours:
    levels are normalised first, as stages of a Swin differ in scale; the width; the same head for all kinds of tasks.
    """

    def __init__(self, levels: Sequence[int], width: int, channels: int) -> None:
        """Create for an encoder whose ``levels`` have so many channels, finest first, and ``channels`` outputs."""
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(c) for c in levels)
        self.reassemble = nn.ModuleList(nn.Conv2d(c, width, 3, padding=1, bias=False) for c in levels)
        self.fusions = nn.ModuleList(Fusion(width, index == len(levels) - 1) for index in range(len(levels)))
        half = max(8, width // 2)
        self.neck = nn.Conv2d(width, half, 3, padding=1)
        self.head = nn.Sequential(nn.Conv2d(half, half, 3, padding=1), nn.ReLU(), nn.Conv2d(half, channels, 1))

    def forward(self, levels: Sequence[Tensor], padded: tuple[int, int]) -> Tensor:
        """Levels (B, h_i, w_i, C_i) of the padded image, finest first -> logits (B, channels, *padded)."""
        sizes = [(x.shape[1], x.shape[2]) for x in levels]
        sizes.insert(0, (2 * sizes[0][0], 2 * sizes[0][1]))
        x: Tensor | None = None
        for index in reversed(range(len(levels))):
            level = self.reassemble[index](self.norms[index](levels[index]).permute(0, 3, 1, 2))
            x = self.fusions[index](level, x, sizes[index])
        return self.head(_resized(self.neck(x), padded))


class DptModel(FrozenModel):
    """A frozen encoder that runs once, and a DPT decoder per task; nothing that is trained is shared."""

    Config = DptConfig
    entry = "dpt"
    config: DptConfig

    def __init__(self, backbone: nn.Module, channels: Mapping[str, int], config: DptConfig) -> None:
        """Create the decoders; the backbone is frozen whole. Arguments and errors as :class:`MultitaskModel`."""
        super().__init__(backbone, channels, config)
        levels = self.encoder.channels
        self.decoders = nn.ModuleDict({task: DptDecoder(levels, config.dpt_width, n) for task, n in channels.items()})
        self.train()

    def components(self) -> list[tuple[str, str, Group]]:
        """The parameter ledger, see :meth:`MultitaskModel.components`."""
        return [
            *self.frozen_components(),
            ("decoders", "one DPT decoder and head per task", Group(list(self.decoders.parameters()), True)),
        ]

    def own_modules(self, task: str) -> dict[str, nn.Module]:
        """Its decoder, of which the head is a part."""
        return {"decoder": self.decoders[task]}

    def forward(self, image: Tensor | Encoded, tasks: Sequence[str] | None = None) -> dict[str, Tensor]:
        """(B, 3, H, W) in 0..1 -> task name -> logits (B, channels, H, W), for all tasks or those named."""
        levels, padded, (h, w) = self.encoder.levels_of(self.plain(image)), self.padded(image), size_of(image)
        return {name: self.decoders[name](levels, padded)[..., :h, :w] for name in self.names(tasks)}


def _resized(x: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)
