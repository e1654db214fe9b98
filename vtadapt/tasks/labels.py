"""What is declared of a task and how its labels are stored: the half of a kind that data sets need, without torch."""

from __future__ import annotations

import functools
from abc import ABC
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from vtadapt.errors import ConfigError, DataError
from vtadapt.tasks.class_ids import VOID
from vtadapt.tasks.label_check import LabelCheck, NumbersCheck
from vtadapt.tasks.nearest import nearest_pixels
from vtadapt.tasks.spec import AnyTask, Declared


@dataclass(frozen=True)
class Storage:
    """Element type of a stored label and the value that stands for "missing"."""

    dtype: str
    missing: float


class Labels(ABC):  # noqa: B024
    """Labels of a kind; see ``vtadapt.tasks.kinds.base``."""

    name: str = ""
    """That of the file; set where the kinds are found."""

    default_loss: ClassVar[str]
    default_headline: ClassVar[str]
    label_check: ClassVar[type[LabelCheck]] = NumbersCheck
    """What is counted of stored labels."""
    weight: ClassVar[float] = 1.0
    """Default factor of the loss: brings the kinds' usual losses to the same order of magnitude."""
    channels: ClassVar[int | None] = 1
    """The only number of channels that makes sense, None where the task says."""
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Name of a task -> fields that the kind alone cannot know."""
    file_form: ClassVar[Literal["ids", "numbers", "vectors", "strengths"]] = "numbers"
    """What readers take the files of its labels for: ids of classes, numbers, x, y, z, or how strong something is."""
    directions: ClassVar[bool] = False
    """Whether labels are directions that surfaces face, which the depth tells as well."""

    # What is declared

    def complete(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields of a ``Task`` from those that are given."""
        given = {key: value for key, value in given.items() if key != "num_classes"}
        fixed = {"channels": type(self).channels or 1, "weight": self.weight}
        return {**fixed, "loss": self.default_loss, "headline": self.default_headline, **given}

    def is_distance(self, units: str, channels: int | None) -> bool:  # noqa: ARG002
        """Whether a task that declares these is a distance, unless it says otherwise."""
        return False

    def check_units(self, units: str, channels: int | None) -> None:  # noqa: B027
        """Raise ValueError where it must be said, and is not, whether a task that declares these is a distance."""

    def channels_of(self, task: Declared) -> int:
        """Channels of the logits."""
        return type(self).channels or task.channels or 1

    def declared_channels(self, task: Declared) -> int | None:
        """What a recipe says of the channels of a task: None where the kind tells."""
        return task.channels if type(self).channels is None else None

    def check_declared(self, task: Declared) -> None:
        """Raise ValueError, which goes on where "Task 'x' ..." ends, for fields that the kind cannot have."""
        self.check_classes(task)
        if task.distance and not self.is_distance("m", None):
            raise ValueError("is a 'distance', which only makes sense for a quantity")

    def check_classes(self, task: Declared) -> None:
        """The part of :meth:`check_declared` that looks at classes and colours."""
        if task.classes or task.colours:
            raise ValueError("takes no classes or colours; remove them")

    def check_task(self, task: AnyTask) -> None:
        """Raise ValueError as :meth:`check_declared` does, for what else a ``Task`` must fulfil."""
        if task.max_value is not None:
            raise ValueError(f"has a max_value, which is for a quantity; found {task.max_value}")

    def capped(self, task: AnyTask, max_value: float) -> dict[str, Any]:  # noqa: ARG002
        """Return the fields that change where values beyond ``max_value`` shall not count."""
        raise ConfigError(f"Task {task.name!r} of kind {self.name!r} has no values that a limit could cap.")

    def meaning(self, task: AnyTask) -> dict[str, Any]:
        """Return what two tasks must share to be the same one; see ``vtadapt.tasks.meaning``."""
        fields = {"kind": self.name, "units": task.units, "distance": task.distance, "channels": task.channels}
        return {**fields, "max_value": task.max_value}

    # On disk: arrays (H, W), or (H, W, C) where there are several numbers per pixel

    def planes(self, task: Declared) -> int:
        """Numbers per pixel of a label."""
        return self.channels_of(task)

    def storage(self, task: Declared, dtype: np.dtype[Any] | None = None) -> Storage:  # noqa: ARG002
        """How labels are stored; ``dtype`` of the data chooses where a kind has several forms."""
        return Storage("float32", float("nan"))

    def known(self, task: Declared, array: NDArray[Any]) -> NDArray[np.bool_]:
        """(H, W) mask of the pixels of a stored label that are not missing."""
        missing = self.storage(task, array.dtype).missing
        known = ~np.isnan(array) if np.isnan(missing) else array != missing
        return np.asarray(known.all(axis=-1) if array.ndim == 3 else known)

    def conform(self, task: Declared, array: NDArray[Any], where: str) -> NDArray[Any]:
        """Return a label of one sample in its stored form, checked.

        Args:
            task: what is declared.
            array: as a reader or derivation gives it.
            where: sample and task, for the message.

        Raises:
            DataError: wrong shape, or values that no label can have.
        """
        planes = self.planes(task)
        shape_ok = array.ndim == 2 if planes == 1 else array.ndim == 3 and array.shape[2] == planes
        if not shape_ok:
            wanted = "(H, W)" if planes == 1 else f"(H, W, {planes})"
            raise DataError(f"{where}: label of shape {array.shape}, wanted {wanted}")
        array = self.check_label(task, array, where)
        return np.ascontiguousarray(array, dtype=self.storage(task, array.dtype).dtype)

    def check_label(self, task: Declared, array: NDArray[Any], where: str) -> NDArray[Any]:  # noqa: ARG002
        """Check the values of a label; numbers that are not finite become missing."""
        with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite
            array = array.astype(np.float32)
        return np.where(np.isfinite(array), array, np.float32(self.storage(task).missing))

    def resized_label(self, label: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
        """Resize a stored label to another (height, width)."""
        return nearest_pixels(label, size)

    def histogram(self, task: Declared, array: NDArray[Any]) -> NDArray[np.int64]:  # noqa: ARG002
        """Count the pixels of each id of a stored label, 0..255 at least; zeros for kinds without ids."""
        return np.zeros(VOID + 1, np.int64)

    def summary(self, task: Declared, histogram: NDArray[np.int64]) -> dict[str, Any]:  # noqa: ARG002
        """Return what a manifest says of such counts."""
        return {}

    def check(self, name: str, task: Declared) -> LabelCheck:
        """Return what counts the stored labels of a task, still empty."""
        return type(self).label_check(name, task, functools.partial(self.known, task))
