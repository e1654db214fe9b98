"""What a recipe says of one task: its kind, what its numbers are, and how it is derived where no files hold it."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from vtadapt.data.recipe.label_sets import Colour
from vtadapt.data.recipe.strict import Strict
from vtadapt.errors import near_matches
from vtadapt.tasks import KINDS, Task, make_task
from vtadapt.tasks.kinds.base import Kind


class Derive(Strict):
    """How a label is computed from other labels of the same sample (see ``vtadapt.data.prepare.derive``)."""

    method: Literal["plane_fit", "depth_jumps", "class_boundaries"] = Field(
        description="plane_fit: normals from depth; depth_jumps: occlusion edges from depth, and folds if asked; "
        "class_boundaries: edges between classes"
    )
    source: str = Field(description="the task it is computed from")
    window: int = Field(7, ge=1, le=30, description="plane_fit: radius of the plane fit, in pixels of the source")
    jump: float = Field(0.05, gt=0, allow_inf_nan=False, description="depth_jumps: least relative jump in depth")
    crease: float | None = Field(None, gt=0, lt=180, description="depth_jumps: mark folds above this angle, too")


class RecipeTask(Strict):
    """One task as a data set labels it."""

    kind: str = Field(description="a key of vtadapt.tasks.KINDS")
    units: str = Field("", max_length=64)
    channels: int | None = Field(None, ge=1, le=4096, description="regression only; default 1")
    classes: tuple[str, ...] = ()
    colours: tuple[Colour, ...] = ()
    label_set: str = Field("", description="name of the list of classes, the key other recipes' class maps use")
    distance: bool = Field(
        False,
        description="metric distance: 0 = missing, divided by scale augmentation; where it is not given, true for a "
        "regression of one channel in metres",
    )
    max_value: float | None = Field(None, gt=0, allow_inf_nan=False)
    loss: str | None = None
    weight: float | None = Field(
        None,
        ge=0,
        allow_inf_nan=False,
        description="factor of its loss beside other tasks'; default: that of its kind, which suits rooms: outdoors "
        "metres are more, and the loss of distances with them",
    )
    derived: bool = Field(False, description="computed from other labels or by a model, not measured or drawn")
    derive: Derive | None = Field(None, description="how vtadapt computes it while preparing")
    conventions: str = Field("", max_length=5000)

    @field_validator("kind")
    @classmethod
    def _known_kind(cls, value: str) -> str:
        if value not in KINDS:
            raise ValueError(f"wanted one of {', '.join(KINDS)}.{near_matches(value, KINDS)}".rstrip("."))
        return value

    @model_validator(mode="before")
    @classmethod
    def _colours_by_class(cls, given: Any) -> Any:
        """``colours: {ground: [R, G, B], ...}`` as a list in the order of the classes, which it may name alone."""
        colours = given.get("colours") if isinstance(given, dict) else None
        if not isinstance(colours, dict):
            return given
        classes = given.get("classes") or list(colours)
        known = list(classes) if isinstance(classes, list | tuple) else []
        if lost := next((name for name in colours if name not in known), None):
            raise ValueError(f"'colours' names {lost!r}, which is none of its classes.{near_matches(str(lost), known)}")
        if lost := next((name for name in known if name not in colours), None):
            raise ValueError(f"'colours' has none for class {lost!r}; give one for each class")
        return {**given, "classes": known, "colours": [colours[name] for name in known]}

    @model_validator(mode="before")
    @classmethod
    def _told_by_the_units(cls, given: Any) -> Any:
        kind = KINDS.get(str(given.get("kind"))) if isinstance(given, dict) else None
        if kind is None or given.get("distance") is not None:
            return given
        units, channels = str(given.get("units", "")), given.get("channels")
        kind.check_units(units, channels)
        return {**given, "distance": kind.is_distance(units, channels)}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        self.behaviour.check_declared(self)
        if self.channels not in (None, 1, self.behaviour.channels_of(self)):
            raise ValueError(f"'channels' cannot be {self.channels} for kind {self.kind!r}")
        if self.derive is not None and not self.derived:
            raise ValueError("'derive' needs 'derived: true': users must see which labels were computed")
        return self

    @property
    def behaviour(self) -> Kind:
        """What the kind of this task does."""
        return KINDS[self.kind]

    def task(self, name: str) -> Task:
        """The task of that name which this declares: the one place where it is made.

        Raises:
            ConfigError: it cannot be trained, such as with a loss of another kind.
        """
        return make_task(
            name,
            self.kind,
            classes=self.classes,
            colours=self.colours,
            units=self.units,
            loss=self.loss,
            distance=self.distance,
            channels=self.behaviour.declared_channels(self),
            max_value=self.max_value,
            weight=self.weight,
        )

    @classmethod
    def of(cls, task: Task, label_set: str) -> Self:
        """What a recipe would say of a task whose classes are those of ``label_set``."""
        return cls(
            kind=task.kind,
            units=task.units,
            channels=task.behaviour.declared_channels(task),
            classes=task.classes,
            colours=task.colours,
            label_set=label_set,
            distance=task.distance,
            max_value=task.max_value,
        )
