"""XTAM (Lopes et al., *Cross-task Attention Mechanism for Dense Multi-task Learning*, WACV 2023, arXiv 2206.08927)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vtadapt.errors import ConfigError
from vtadapt.models.heads.base import TaskHeads
from vtadapt.models.heads.make import make_heads
from vtadapt.models.heads.subpixel import SubpixelHeads
from vtadapt.models.multitask import Group
from vtadapt.models.peers.base import Peer, PeerConfig
from vtadapt.models.peers.decoders import Aspp, ConvNorm, Merge, channels_first

Streams = dict[str, Tensor]


def correlation_attention(keys: Tensor, queries: Tensor, values: Tensor) -> Tensor:
    """Spatial correlation attention: P = softmax(B^T C / sqrt(c)) over the source's positions, then V P [paper].

    Args:
        keys: B, (N, c, S): what the source task offers at its S positions.
        queries: C, (N, c, M): what the target task asks for at its M positions.
        values: V, (N, v, S), from the source.

    Returns:
        (N, v, M): for each position of the target a mean of the source's values.

    Example: two positions, c = 1, keys (1, 0), one query 1: P = (e, 1) / (e + 1).
    """
    scores = keys.transpose(1, 2) @ queries / math.sqrt(keys.shape[1])  # (N, S, M)
    return values @ scores.softmax(dim=1)


class PairAttention(nn.Module):
    """What target t takes from source s: alpha * correlation attention + beta * self-gated features [paper].

    Both read features extracted from the source by a convolution of this pair's own [released code]. alpha and beta are
    one number per channel and start at zero, so that an exchange block changes nothing until it is trained [ours: the
    released code has a scale on the correlation only, and joins both parts by concatenation and a convolution].
    """

    def __init__(self, width: int, positions: int) -> None:
        """Create projections of ``width`` channels; the source is averaged down to at most ``positions`` positions."""
        super().__init__()
        self.positions = positions
        self.key = nn.Conv2d(width, width, 1)
        self.query = nn.Conv2d(width, width, 1)
        self.value = nn.Conv2d(width, width, 1)
        self.extract = ConvNorm(width, width, 3)
        self.gate = nn.Conv2d(width, width, 1)
        self.alpha = nn.Parameter(torch.zeros(width, 1, 1))
        self.beta = nn.Parameter(torch.zeros(width, 1, 1))

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """(B, width, h, w) twice -> what is added to the target, same shape."""
        offered = extracted = self.extract(source)
        factor = math.ceil(math.sqrt(source.shape[2] * source.shape[3] / self.positions))
        if factor > 1:
            offered = F.avg_pool2d(extracted, factor, ceil_mode=True, count_include_pad=False)
        found = correlation_attention(
            self.key(offered).flatten(2), self.query(target).flatten(2), self.value(offered).flatten(2)
        ).unflatten(2, target.shape[2:])
        return self.alpha * found + self.beta * (torch.sigmoid(self.gate(extracted)) * extracted)


class ExchangeBlock(nn.Module):
    """The exchange between all tasks: every target adds what it takes from every other task [paper: mTEB].

    f_t <- f_t + sum_{s != t} take_{s->t}(f_s, f_t). The sum in place of a concatenation and a convolution is ours.
    """

    def __init__(self, tasks: Sequence[str], width: int, positions: int) -> None:
        """Create one :class:`PairAttention` per ordered pair."""
        super().__init__()
        self.pairs = nn.ModuleDict(
            {
                target: nn.ModuleDict({source: PairAttention(width, positions) for source in tasks if source != target})
                for target in tasks
            }
        )

    def forward(self, streams: Streams, targets: Sequence[str]) -> Streams:
        """All tasks' maps (B, width, h, w) -> those of ``targets`` after the exchange."""
        return {
            target: streams[target] + sum(take(streams[s], streams[target]) for s, take in self._into(target))
            for target in targets
        }

    def _into(self, target: str) -> list[tuple[str, nn.Module]]:
        chosen = self.pairs[target]
        assert isinstance(chosen, nn.ModuleDict)
        return list(chosen.items())


class Xtam(Peer):
    """A shared encoder, a decoder per task in two levels, one exchange block between them, both levels supervised.

    Level 1: ASPP, brought to stride 8, a prediction of its own. Exchange. Level 2: brought to stride 4, the prediction.
    Paper: ResNet-101 and UNet-like decoders, an exchange between two sections of them, predictions from each section;
    ours: small DeepLab decoders of the parts that mtl-cnn's are made of. Level 2 has the loss's weight, level 1 as the
    training says.
    """

    supervised_levels = 2

    def __init__(self, backbone: nn.Module, channels: Mapping[str, int], config: PeerConfig) -> None:
        """Create decoders and exchange; arguments and errors as :class:`Peer`."""
        super().__init__(backbone, channels, config)
        if config.decoder not in (None, "aspp"):
            raise ConfigError(f"decoder {config.decoder!r} does not go with xtam; wanted 'aspp', its own")
        width, levels = config.decoder_width, self.encoder.channels
        self.first = nn.ModuleDict({t: Aspp(levels[-1], width, config.rates) for t in self.tasks})
        self.second = nn.ModuleDict({t: Merge(width, levels[1]) for t in self.tasks})
        self.exchange = ExchangeBlock(self.tasks, width, config.positions)
        self.third = nn.ModuleDict({t: Merge(width, levels[0]) for t in self.tasks})
        self.early_heads = SubpixelHeads(width, channels)
        self.heads = make_heads(config.head, width, channels, scale=4)

    def components(self) -> list[tuple[str, str, Group]]:
        """The parameter ledger."""
        decoders = [p for part in (self.first, self.second, self.third) for p in part.parameters()]
        heads = [*self.early_heads.parameters(), *self.heads.parameters()]
        return [
            *self.encoder_components(),
            ("decoders", "one per task, two levels", Group(decoders, True)),
            ("exchange", "one per ordered pair of tasks", Group(list(self.exchange.parameters()), True)),
            ("heads", f"{self.config.head}, and 1x1 for the first level", Group(heads, True)),
        ]

    def forward(self, image: Tensor, tasks: Sequence[str] | None = None) -> dict[str, Tensor]:
        """The second level; every task's first level is computed, as each may be a source."""
        features = self.encoder.features(image, grad=True)
        return self._second_level(image, features, self._streams(features), self.names(tasks))

    def levels(self, image: Tensor, tasks: Sequence[str] | None = None) -> list[dict[str, Tensor]]:
        """Predictions before and after the exchange."""
        names, features = self.names(tasks), self.encoder.features(image, grad=True)
        streams = self._streams(features)
        early = self._predict(self.early_heads, {t: streams[t] for t in names}, image)
        return [early, self._second_level(image, features, streams, names)]

    def _streams(self, features: list[Tensor]) -> Streams:
        coarse, middle = channels_first(features[-1]), channels_first(features[1])
        return {t: self.second[t](self.first[t](coarse), middle) for t in self.tasks}

    def _second_level(
        self, image: Tensor, features: list[Tensor], streams: Streams, names: tuple[str, ...]
    ) -> dict[str, Tensor]:
        fine = channels_first(features[0])
        exchanged = self.exchange(streams, names)
        return self._predict(self.heads, {t: self.third[t](x, fine) for t, x in exchanged.items()}, image)

    def _predict(self, heads: TaskHeads, streams: Streams, image: Tensor) -> dict[str, Tensor]:
        prepared, size = self.encoder.prepare(image), (int(image.shape[-2]), int(image.shape[-1]))
        out: dict[str, Tensor] = {}
        for task, x in streams.items():
            out |= heads(x[:, None], (task,), prepared, size)
        return out
