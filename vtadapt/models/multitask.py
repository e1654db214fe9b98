"""What training and every command may ask of a network, whichever method it belongs to."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, NamedTuple

from torch import Tensor, nn

from vtadapt.errors import ConfigError
from vtadapt.models.backbones.base import Encoded, Encoder, size_of
from vtadapt.models.heads.base import TaskHeads


@dataclass(frozen=True)
class Group:
    """The parameters of one component and whether they are trained."""

    parameters: Sequence[nn.Parameter]
    trained: bool

    @property
    def count(self) -> int:
        """Number of scalars."""
        return sum(p.numel() for p in self.parameters)


class Owned(NamedTuple):
    """A parameter, or one row of it, that serves one task alone."""

    parameter: nn.Parameter
    row: int | None = None


@dataclass(frozen=True)
class NoConfig:
    """The architecture of a network that has no choice in it."""


class MultitaskModel(nn.Module, ABC):
    """A backbone and what follows it -> ``dict[task name, logits (B, channels, H, W)]``.

    Subclasses take ``(backbone, channels, config)``, the last an instance of their :attr:`Config`. A run builds the
    config from its settings: each field gets the value of the setting of its name.

    Attributes:
        tasks: names, in order.
        backbone: the encoder (of the first task, where each has its own); kept under this name by every network.
        config: the architecture.
        alone: tasks that were added later, the last of ``tasks``; see :mod:`vtadapt.models.adding`.
    """

    Config: ClassVar[type] = NoConfig
    """The dataclass of its architecture."""
    entry: ClassVar[str | None] = None
    """The key of ``config.json`` under which a run tells the architecture; None: there is nothing to tell."""
    supervised_levels: ClassVar[int] = 1
    """How many levels of predictions :meth:`levels` has, each with a loss of its own."""
    has_affinity: ClassVar[bool] = False
    """Whether a matrix A mixes what the tasks are conditioned on; what goes with it is the adapted model's."""
    has_attention: ClassVar[bool] = False
    """Whether there is attention for every task that can be looked at."""
    has_own_parts: ClassVar[bool] = False
    """Whether tasks share trained parts and have others of their own, which :meth:`owned` and :meth:`head_of` tell."""

    def __init__(self, backbone: nn.Module, channels: Mapping[str, int], config: Any) -> None:
        """Keep what every network has.

        Args:
            backbone: an :class:`Encoder`; becomes part of this model.
            channels: task name -> number of output channels; the order of the tasks.
            config: the architecture.

        Raises:
            ConfigError: no task.
        """
        super().__init__()
        if not channels:
            raise ConfigError("no task given; wanted at least one")
        self.tasks, self.config = tuple(channels), config
        self.alone: tuple[str, ...] = ()
        self.backbone = backbone

    @property
    def encoder(self) -> Encoder:
        """The backbone, typed by its contract."""
        return self.backbone  # type: ignore[return-value]

    @abstractmethod
    def forward(self, image: Tensor, tasks: Sequence[str] | None = None) -> dict[str, Tensor]:
        """(B, 3, H, W) in 0..1, any size -> task name -> logits (B, channels, H, W), for all tasks or those named."""

    @abstractmethod
    def components(self) -> list[tuple[str, str, Group]]:
        """The parameter ledger: (component, what it is, its parameters and whether they are trained).

        Every parameter of the model is in exactly one component; freezing, counting and saving all read this list.
        """

    def levels(self, image: Tensor, tasks: Sequence[str] | None = None) -> list[dict[str, Tensor]]:
        """Every supervised level of predictions, each as :meth:`forward` returns them; the last is what it returns."""
        return [self(image, tasks)]

    def names(self, tasks: Sequence[str] | None) -> tuple[str, ...]:
        """The tasks asked for."""
        return self.tasks if tasks is None else tuple(tasks)

    def together(self, names: Sequence[str]) -> list[tuple[str, ...]]:
        """The tasks named, cut into those that are computed in one batch, in the order of the batches.

        Each added task has one of its own: in a larger batch the last bits of the others would not be what they were.
        """
        first = tuple(name for name in names if name not in self.alone)
        return [*([first] if first else []), *((name,) for name in self.alone if name in names)]

    def encode(self, image: Tensor) -> tuple[Tensor, ...]:
        """What the part of the encoder that training never changes makes of images (B, 3, H, W) in 0..1; B first.

        For networks with such a part, which take it in an :class:`Encoded` in place of the images. No gradient.
        """
        raise NotImplementedError(f"{type(self).__name__} has no part of its encoder that stays as it is")

    @property
    def encoding(self) -> str:
        """What :meth:`encode` gives, in words that tell two ways of it on one encoder apart."""
        raise NotImplementedError(f"{type(self).__name__} has no part of its encoder that stays as it is")

    @property
    def looks_at_image(self) -> bool:
        """Whether anything but the encoder looks at the images."""
        return any(isinstance(module, TaskHeads) and module.looks_at_image for module in self.modules())

    def padded(self, image: Tensor | Encoded) -> tuple[int, int]:
        """(H', W') of the image after :meth:`Encoder.prepare`."""
        (h, w), stride = size_of(image), self.encoder.stride
        return h + -h % stride, w + -w % stride

    def head_of(self, task: str) -> nn.Module:
        """The head of one task, for networks that :attr:`has_own_parts`."""
        raise NotImplementedError(f"{type(self).__name__} does not tell the head of {task!r}")

    def owned(self, task: str) -> list[Owned]:
        """What is of one task alone, for networks that :attr:`has_own_parts`."""
        raise NotImplementedError(f"{type(self).__name__} does not tell what is of {task!r} alone")

    def own_modules(self, task: str) -> dict[str, nn.Module]:
        """The modules of one task alone by what they are, for networks that tasks can be added to."""
        raise NotImplementedError(f"{type(self).__name__} has no modules of {task!r} beside what stays as it is")

    def encoder_parameters(self) -> list[nn.Parameter]:
        """What has the learning rate of a backbone where it is trained."""
        return self.encoder.own_parameters()

    def added_component(self) -> list[tuple[str, str, Group]]:
        """The ledger's entry of what is trained to make levels of the encoder's features; often none."""
        added = self.encoder.added_parameters()
        return [("feature pyramid", "levels of a plain transformer's map", Group(added, True))] if added else []

    def trained_parameters(self) -> list[nn.Parameter]:
        """The parameters that training changes."""
        return [p for p in self.parameters() if p.requires_grad]

    def saved_state(self) -> dict[str, Tensor]:
        """What a run has to save: trained parameters and persistent buffers outside the backbone's frozen part."""
        frozen = {name for name, p in self.named_parameters() if not p.requires_grad}
        return {k: v.detach() for k, v in self.state_dict().items() if k not in frozen}

    def digest(self) -> str:
        """SHA-256 of the weights of the backbone, which a run keeps to see that it is loaded onto the same."""
        return self.encoder.digest()

    def architecture(self) -> dict[str, dict[str, Any]]:
        """The entry of ``config.json`` that tells the architecture; empty where there is none."""
        return {} if self.entry is None else {self.entry: asdict(self.config)}
