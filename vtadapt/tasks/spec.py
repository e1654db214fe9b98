"""What is asked of a task and of a camera, whoever holds the fields: a kind knows neither ``Task`` nor recipes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor

Colour = tuple[int, int, int]


class Declared(Protocol):
    """What is declared of a task: a ``Task`` has it, and so has what a recipe says of one."""

    @property
    def kind(self) -> str:
        """Name of its kind."""

    @property
    def units(self) -> str:
        """Of a quantity."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names, in the order of their ids."""

    @property
    def colours(self) -> tuple[Colour, ...]:
        """Of the classes; none, or one each."""

    @property
    def channels(self) -> int | None:
        """Numbers that are predicted per pixel; None where that is not said."""

    @property
    def distance(self) -> bool:
        """Whether a quantity is measured in metres from the camera."""

    @property
    def max_value(self) -> float | None:
        """Values beyond count as missing."""


class AnyTask(Declared, Protocol):
    """A ``Task``, as its kind and its meter see it."""

    @property
    def name(self) -> str:
        """The key in batches."""

    @property
    def channels(self) -> int:
        """Channels of the logits."""

    @property
    def loss(self) -> str:
        """Name of its loss."""

    @property
    def headline(self) -> str:
        """Key of the metric that stands for it."""

    @property
    def typical(self) -> float:
        """What zero logits mean for a distance, in metres."""

    def check(self, logits: Tensor, target: Tensor) -> None:
        """Raise DataError unless both belong to the task and fit one another."""

    def decode(self, logits: Tensor) -> Tensor:
        """Prediction in the form of the target."""

    def valid(self, target: Tensor) -> Tensor:
        """(B, H, W) bool, True where there is a label."""


class Camera(Protocol):
    """A pinhole camera, in pixels."""

    @property
    def fx(self) -> float:
        """Focal length along a row."""

    @property
    def fy(self) -> float:
        """Focal length along a column."""

    @property
    def cx(self) -> float:
        """Column of the principal point."""

    @property
    def cy(self) -> float:
        """Row of the principal point."""
