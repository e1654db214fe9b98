"""``Task``: all there is to know of a task; ``make_task`` builds one; ``TASKS`` lists the built-in ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from vtadapt.errors import ConfigError, DataError
from vtadapt.tasks.colour.draw import Picture
from vtadapt.tasks.kinds import KINDS, find_kind
from vtadapt.tasks.kinds.base import Kind, Limits
from vtadapt.tasks.losses import Loss
from vtadapt.tasks.metrics.meter import Meter
from vtadapt.tasks.spec import Colour
from vtadapt.tasks.validation import check_task, no_unknown, triples, wrong_field

if TYPE_CHECKING:
    from torch import Tensor

NYU13 = (
    "bed", "books", "ceiling", "chair", "floor", "furniture", "objects",
    "picture", "sofa", "table", "tv", "wall", "window",
)  # fmt: skip
"""The 13 classes of NYU Depth V2 in the order of their ids."""

OPTIONS = frozenset({"num_classes", "channels", "headline", "distance", "max_value", "typical", "weight"})
"""What ``make_task`` takes beside its named arguments; None means the default."""


@dataclass(frozen=True)
class Task:
    """A dense prediction task. Build it with ``make_task``; every way of making one checks it (ConfigError).

    What its targets are, and what "missing" is in them, says its kind (``vtadapt.tasks.kinds``).
    """

    name: str
    kind: str
    """A key of ``KINDS``."""
    channels: int
    """Channels of the logits."""
    units: str = ""
    classes: tuple[str, ...] = ()
    colours: tuple[Colour, ...] = ()
    loss: str = ""
    headline: str = ""
    """Key of the metric that stands for the task in tables and in Delta_m."""
    distance: bool = False
    """A regression measured in metres: 0 = missing, always positive, divided by scale augmentation."""
    max_value: float | None = None
    """Targets beyond it count as missing, predictions are clamped to it, and the metric keys say so."""
    typical: float = 1.0
    """What zero logits mean for a distance, in metres."""
    weight: float = 1.0
    """Default factor of the loss in a sum over tasks."""

    def __post_init__(self) -> None:
        """Check the fields against one another."""
        check_task(self, self.weight)

    @property
    def behaviour(self) -> Kind:
        """What the kind of this task does."""
        return KINDS[self.kind]

    def loss_fn(self, logits: Tensor, target: Tensor, class_weights: Tensor | None = None) -> Loss:
        """Return the mean loss over valid pixels, in float32, and their number; 0 (with a graph) when there is none.

        Args:
            logits: (B, channels, H, W), any float type.
            target: (B, ...) as the data set gives it.
            class_weights: (channels,) of a task of classes: the mean is weighted by that of each pixel's label.

        Raises:
            DataError: shapes do not fit, or a label id is out of range.
        """
        self.check(logits, target)
        return self.behaviour.loss(self, logits, target, class_weights)

    def decode(self, logits: Tensor) -> Tensor:
        """Return the prediction in the form of the target: class ids, units, unit vectors, or probabilities.

        All but ``classes`` are float32 and differentiable.
        """
        return self.behaviour.decode(self, logits)

    def for_discriminator(self, logits: Tensor, limits: Limits | None = None, log: bool = False) -> Tensor:
        """Return what a discriminator of domains sees of a prediction: (B, channels, H, W) float32, with a gradient.

        Classes: weighted self-information -p log2 p / log2 K of each class (Vu et al., ADVENT, CVPR 2019, eq. 8), 0
        where the network is certain, 1/K everywhere where all classes are alike. Regression: (v - low) / (high - low)
        with v = 1 / distance (``log``: log(1 + distance)), or the value itself where it is none. Unit vectors and
        probabilities as decoded.

        Args:
            logits: (B, channels, H, W), any float type.
            limits: low and high of a regression, see :meth:`limits`; None for those of this prediction.
            log: of distances the logarithm, not the inverse.
        """
        return self.behaviour.for_discriminator(self, logits, limits, log)

    def limits(self, target: Tensor, log: bool = False) -> Limits | None:
        """Return the range of the labels of a batch that ``for_discriminator`` scales a regression by: two tensors ().

        None where there is no label, and for other kinds. Distances: the inverse of the farthest and of the nearest
        (``log``: the logarithms of the nearest and of the farthest).
        """
        return self.behaviour.limits(self, target, log)

    def for_blending(self, logits: Tensor) -> Tensor:
        """Return what is averaged where several predictions of one pixel become one: (B, channels, H, W) float32.

        Probabilities of classes and of boundaries, metres (or what else is measured), unit vectors. The average is
        brought back by :meth:`from_blended`.
        """
        return self.behaviour.for_blending(self, logits)

    def from_blended(self, mean: Tensor) -> Tensor:
        """Return logits that decode to an average of :meth:`for_blending`; that of unit vectors is normalised."""
        return self.behaviour.from_blended(self, mean)

    def capped(self, max_value: float | None) -> Task:
        """Return this task with ``max_value`` as its cap where that is lower; its metric keys then name it."""
        if max_value is None or (self.max_value is not None and self.max_value <= max_value):
            return self
        return replace(self, **self.behaviour.capped(self, max_value))

    def valid(self, target: Tensor) -> Tensor:
        """Return (B, H, W) bool, True where ``target`` has a label."""
        return self.behaviour.valid(self, target)

    def meter(self, **options: Any) -> Meter:
        """Return an empty meter; options depend on the kind."""
        try:
            return type(self.behaviour).meter(self, **options)
        except TypeError as error:
            raise ConfigError(f"Metric options {sorted(options)} do not fit task {self.name!r}: {error}.") from error

    def higher_is_better(self, metric_key: str) -> bool:
        """Return the direction of a metric of this task; ConfigError for an unknown key."""
        return self.behaviour.higher_is_better(metric_key)

    def colour(self, x: Tensor | np.ndarray, value_range: tuple[float, float] | None = None) -> Picture:
        """Draw one target or prediction (no batch axis) as uint8 RGB (H, W, 3).

        How says its kind; missing pixels are striped, see ``colour.void``. Values are drawn over ``value_range``, or
        else over ``self.value_range(x)``.
        """
        return self.behaviour.colour(self, _array(x), value_range)

    def value_range(self, x: Tensor | np.ndarray) -> tuple[float, float] | None:
        """Return the 2nd and 98th percentile of a sample of numbers, to share between pictures; None for the rest."""
        return self.behaviour.value_range(self, _array(x))

    def check(self, logits: Tensor, target: Tensor) -> None:
        """Raise DataError unless ``logits`` and ``target`` belong to this task and fit one another."""
        if logits.ndim != 4 or logits.shape[1] != self.channels:
            raise DataError(
                f"Task {self.name!r} wants logits (B, {self.channels}, H, W), found {tuple(logits.shape)}; "
                "was the model made for another class list?"
            )
        wanted = self.behaviour.target_shape(self, logits)
        if tuple(target.shape) != wanted:
            raise DataError(
                f"Task {self.name!r}: logits {tuple(logits.shape)} want a target {wanted}, found {tuple(target.shape)}."
            )
        self.behaviour.check_values(self, target)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values that JSON can hold."""
        values = asdict(self)
        return values | {"classes": list(self.classes), "colours": [list(c) for c in self.colours]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Task:
        """Undo ``to_dict``; ConfigError when a field is unknown, missing or wrong."""
        known = {field.name for field in fields(cls)}
        no_unknown(values, known, "field of a saved task")
        lacking = [name for name in ("name", "kind", "channels") if name not in values]
        if lacking:
            raise ConfigError(f"A saved task lacks {', '.join(lacking)}.")
        lists = {"classes": tuple(values.get("classes", ())), "colours": triples(values.get("colours", ()))}
        return cls(**{**values, **lists})


def make_task(
    name: str,
    kind: str,
    *,
    classes: Sequence[str] = (),
    colours: Sequence[Sequence[int]] = (),
    units: str = "",
    loss: str | None = None,
    **options: Any,
) -> Task:
    """Build a task from what a recipe declares, with defaults for the rest.

    ``make_task("human_parts", "classes", classes=["head", "torso"])``, ``make_task("saliency", "boundary")``.

    Args:
        name: the key of the task in batches, logits and reports.
        kind: a key of ``KINDS``: "classes", "regression", "unit_vector", "boundary".
        classes: names in the order of their ids, for kind "classes" (or ``num_classes``).
        colours: one RGB triple per class; those of ``class_palette`` when there is none.
        units: for regression; "m" (or "metres") makes it a distance.
        loss: a name of ``KINDS[kind].losses``.
        **options: ``num_classes``, ``channels``, ``headline``, ``distance``, ``max_value``, ``typical``, ``weight``.

    Raises:
        ConfigError: anything unknown or contradictory, on one line.
    """
    no_unknown(options, OPTIONS, "option")
    written = {**options, "classes": tuple(classes), "colours": triples(colours), "units": units, "loss": loss}
    given = {key: value for key, value in written.items() if value not in (None, (), "")}
    try:
        behaviour = find_kind(kind)
        return Task(name=name, kind=kind, **behaviour.complete({**behaviour.presets.get(name, {}), **given}))
    except ValueError as error:
        raise wrong_field(name, kind, error) from error


def _array(x: Tensor | np.ndarray) -> np.ndarray:
    """Return a numpy array that ``torch.from_numpy`` and OpenCV accept: half precision becomes float32."""
    array = x if isinstance(x, np.ndarray) else (x.float() if x.is_floating_point() else x).detach().cpu().numpy()
    return np.ascontiguousarray(array, dtype=np.float32 if array.dtype.kind == "f" else None)


TASKS: dict[str, Task] = {
    "semseg": make_task("semseg", "classes", classes=NYU13),
    "depth": make_task("depth", "regression", units="m"),
    "normals": make_task("normals", "unit_vector"),
    "edges": make_task("edges", "boundary"),
}
"""The built-in tasks by name; data sets replace them through ``make_task`` with their own classes."""
