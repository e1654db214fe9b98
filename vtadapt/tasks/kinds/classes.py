"""One of K classes per pixel.

On disk (H, W) uint8, uint16 for more than 255 classes, uint32 for more than 65 535; 255 is void. Target: int64 (H, W)
with the same ids. Logits: a score per class.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from vtadapt.errors import DataError
from vtadapt.tasks.best_class import best_class
from vtadapt.tasks.class_ids import RESERVED, VOID, check_ids, check_list, id_table, id_type, listed, no_class
from vtadapt.tasks.class_losses import CLASS_LOSSES
from vtadapt.tasks.colour.draw import Picture, draw_ids
from vtadapt.tasks.colour.palette import class_palette
from vtadapt.tasks.kinds.base import Key, Kind, Limits, Range
from vtadapt.tasks.label_check import LabelCheck, labelled
from vtadapt.tasks.labels import Storage
from vtadapt.tasks.losses import Loss, at_least_float32, log_finite, no_valid_pixel
from vtadapt.tasks.metrics.meter import Meter
from vtadapt.tasks.spec import AnyTask, Camera, Declared

if TYPE_CHECKING:
    from torch import Tensor


class ClassesMeter(Meter):
    """Metrics of one confusion matrix pooled over the whole set.

    ``miou/dataset``: mean of ``iou/<class>`` over the classes that the GROUND TRUTH has at least one pixel of (a class
    that is only predicted lowers the others' IoU, but is no term of its own); ``iou/<class>`` = TP / (TP + FP + FN),
    given for those classes only; ``pixacc/dataset``: share of the valid pixels that are right.
    """

    @override
    def _zeros(self) -> dict[str, Tensor]:
        import torch

        k = self.task.channels
        return {"confusion": torch.zeros(k, k, dtype=torch.int64)}  # [ground truth, prediction]

    @override
    def _add(self, prediction: Tensor, target: Tensor, valid: Tensor) -> None:
        k = self.task.channels
        pairs = target[valid].long() * k + prediction[valid]
        self._state["confusion"] += pairs.bincount(minlength=k * k).view(k, k)

    @override
    def _values(self) -> dict[str, float]:
        confusion = self._state["confusion"].double()
        hit, truth = confusion.diagonal(), confusion.sum(1)
        iou = hit / (truth + confusion.sum(0) - hit)
        present = truth > 0
        values = {"miou/dataset": float(iou[present].mean()), "pixacc/dataset": float(hit.sum() / truth.sum())}
        classes = zip(self.task.classes, iou.tolist(), present.tolist(), strict=True)
        return values | {f"iou/{name}": value for name, value, there in classes if there}


class ClassesCheck(LabelCheck):
    """Class ids: pixels and images of each class."""

    wants = "with ids that are no class"

    def __post_init__(self) -> None:
        self.histogram = np.zeros(max(VOID, len(self.task.classes)) + 1, np.int64)
        self.images = np.zeros(len(self.histogram), np.int64)

    @override
    def forbidden(self, array: NDArray[Any]) -> NDArray[np.bool_]:
        return no_class(array, len(self.task.classes))

    @override
    def _count(self, name: str, array: NDArray[Any], mask: NDArray[np.bool_], camera: Camera) -> None:
        counts = np.bincount(labelled(array, mask).ravel(), minlength=len(self.histogram))  # the mean means nothing
        self.histogram += counts
        self.images += counts > 0

    @override
    def report(self) -> dict[str, Any]:
        classes = self.task.classes
        return super().report() | {
            "pixels_per_class": {c: int(self.histogram[i]) for i, c in enumerate(classes)},
            "images_per_class": {c: int(self.images[i]) for i, c in enumerate(classes)},
        }

    @override
    def findings(self) -> tuple[list[str], list[str]]:
        problems, warnings = super().findings()
        seen = np.flatnonzero(self.histogram)
        if len(seen) == 1 < len(self.task.classes) and self.samples > 1:
            warnings.append(f"{self.name}: every labelled pixel is {self.task.classes[seen[0]]!r}")
        return problems, warnings

    @override
    def disagreements(self, said: dict[str, Any]) -> list[str]:
        lines, own = super().disagreements(said), self.report()["pixels_per_class"]
        told = {c: n for c, n in said.get("pixels_per_class", own).items() if c != RESERVED}
        other = [c for c in self.task.classes if c != RESERVED and told.get(c) != own[c]]
        if other and not self.wrong.samples:
            first = f"{own[other[0]]} of {other[0]!r}, the manifest says {told.get(other[0])}"
            lines.append(f"{self.name}: the pixels of {len(other)} classes differ, first: {first}")
        return lines


class Classes(Kind):
    """See the module's page."""

    losses = CLASS_LOSSES
    default_loss = "cross_entropy"
    metrics = {"miou": True, "pixacc": True, "iou": True}
    default_headline = "miou/dataset"
    meter = ClassesMeter
    label_check = ClassesCheck
    file_form = "ids"
    channels = None
    scores_classes = True
    smooth = False

    @override
    def complete(self, given: Mapping[str, Any]) -> dict[str, Any]:
        names, count = tuple(given.get("classes", ())), given.get("num_classes")
        if count is not None and names and count != len(names):
            raise ValueError(f"names {len(names)} classes but num_classes is {count}; drop one of them")
        names = names or tuple(f"class {i}" for i in range(count or 0))
        own = {"channels": len(names) or 1, "classes": names, "colours": class_palette(len(names))}
        return super().complete({**own, **given, "classes": names})

    @override
    def channels_of(self, task: Declared) -> int:
        return len(task.classes)

    @override
    def declared_channels(self, task: Declared) -> int | None:
        return None

    @override
    def check_classes(self, task: Declared) -> None:
        if not task.classes:
            raise ValueError("has no classes; list them")
        check_list(task.classes, task.colours)

    @override
    def check_task(self, task: AnyTask) -> None:
        super().check_task(task)
        if not task.colours:
            raise ValueError("has no colours; give one per class")

    @override
    def meaning(self, task: AnyTask) -> dict[str, Any]:
        return {"kind": self.name, "units": task.units, "classes": task.classes}

    @override
    def planes(self, task: Declared) -> int:
        return 1

    @override
    def storage(self, task: Declared, dtype: np.dtype[Any] | None = None) -> Storage:
        return Storage(id_type(len(task.classes)).name, VOID)

    @override
    def check_label(self, task: Declared, array: NDArray[Any], where: str) -> NDArray[Any]:
        if not np.issubdtype(array.dtype, np.integer):
            raise DataError(f"{where}: labels of type {array.dtype}, wanted whole numbers")
        check_ids(array, len(task.classes), where)
        return array

    @override
    def histogram(self, task: Declared, array: NDArray[Any]) -> NDArray[np.int64]:
        return np.bincount(array.ravel(), minlength=max(VOID, len(task.classes)) + 1)

    @override
    def summary(self, task: Declared, histogram: NDArray[np.int64]) -> dict[str, Any]:
        counts = [*histogram.tolist(), *[0] * len(task.classes)]  # shorter than a long list where nothing was counted
        return {"pixels_per_class": dict(zip(task.classes, counts, strict=False))}

    @override
    def missing_target(self, task: AnyTask, size: tuple[int, int]) -> Tensor:
        import torch

        return torch.full(size, VOID, dtype=torch.int64)

    @override
    def check_stored(self, task: Declared, array: NDArray[Any], where: str) -> None:
        check_ids(array, len(task.classes), where)

    @override
    def mapped(self, array: NDArray[Any], ids: tuple[int, ...]) -> NDArray[Any]:
        found: NDArray[Any] = id_table(ids)[array]
        return found

    @override
    def to_target(self, task: AnyTask, array: NDArray[Any]) -> Tensor:
        import torch

        # Of unsigned types torch resizes and pads those of 8 bits alone.
        return torch.from_numpy(array if array.dtype == np.uint8 else array.astype(np.int32))

    @override
    def target_shape(self, task: AnyTask, logits: Tensor) -> tuple[int, ...]:
        return (logits.shape[0], *logits.shape[2:])

    @override
    def check_values(self, task: AnyTask, target: Tensor) -> None:
        bad = (target != VOID) & ((target < 0) | (target >= task.channels))
        if bad.any():
            ids = listed(target[bad].unique().tolist())
            raise DataError(
                f"Task {task.name!r} has {task.channels} classes, found label ids {ids}; "
                f"0..{task.channels - 1} or {VOID} (void) were wanted: check the recipe's class list."
            )

    @override
    def valid(self, task: AnyTask, target: Tensor) -> Tensor:
        return target != VOID

    @override
    def decode(self, task: AnyTask, logits: Tensor) -> Tensor:
        return best_class(logits)

    @override
    def for_blending(self, task: AnyTask, logits: Tensor) -> Tensor:
        return at_least_float32(logits).softmax(1)

    @override
    def from_blended(self, task: AnyTask, mean: Tensor) -> Tensor:
        return log_finite(mean)

    @override
    def loss(self, task: AnyTask, logits: Tensor, target: Tensor, class_weights: Tensor | None = None) -> Loss:
        count = int(self.valid(task, target).sum())
        if count == 0:
            return no_valid_pixel(logits)
        logits = at_least_float32(logits)
        weights = None if class_weights is None else class_weights.to(logits)
        return Loss(self.losses[task.loss](logits, target.long(), weights), count)

    @override
    def for_discriminator(self, task: AnyTask, logits: Tensor, limits: Limits | None, log: bool = False) -> Tensor:
        if task.channels == 1:  # certain, whatever the logits
            return logits * 0.0
        log_p = at_least_float32(logits).log_softmax(1)
        return -log_p.exp() * log_p / math.log(task.channels)

    @override
    def label_map(self, task: AnyTask, target: Tensor) -> Tensor:
        """One-hot."""
        import torch.nn.functional as F  # noqa: N812

        ids = target.where(self.valid(task, target), 0).long()
        return F.one_hot(ids, task.channels).movedim(-1, 1).float()

    @override
    def prediction_map(self, task: AnyTask, logits: Tensor) -> Tensor:
        """Probabilities."""
        return logits.float().softmax(1)

    @override
    def total(self, task: AnyTask, target: Tensor) -> Tensor:
        """Pixels of each class; the most frequent one has the highest logit."""
        return target[self.valid(task, target)].long().bincount(minlength=task.channels).double()

    @override
    def drawable(self, array: NDArray[Any], hidden: NDArray[np.bool_]) -> NDArray[Any]:
        return np.where(hidden, VOID, array).astype(np.int64)

    @override
    def value_range(self, task: AnyTask, x: NDArray[Any]) -> Range | None:
        return None

    @override
    def colour(self, task: AnyTask, x: NDArray[Any], value_range: Range | None) -> Picture:
        """The colour of each class."""
        labels = (x[0] if x.ndim == 3 else x).astype(np.int64)
        if (bad := no_class(labels, len(task.colours))).any():
            found = listed(np.unique(labels[bad]).tolist())
            raise DataError(f"Task {task.name!r} has {len(task.colours)} classes, found label ids {found}.")
        return draw_ids(labels, task.colours, VOID)

    @override
    def key(self, task: AnyTask, samples: Sequence[NDArray[Any]], limits: Range | None) -> Key:
        size = len(task.classes)
        counts = np.zeros(size, np.int64)
        for ids in samples:
            counts += np.bincount(ids[ids != VOID].ravel(), minlength=size)
        seen = [int(i) for i in np.argsort(-counts, kind="stable") if counts[i]]
        return Key(f"{len(seen)} of {size} classes", [(task.classes[i], task.colours[i]) for i in seen])

    @override
    def raw(self, task: AnyTask, prediction: NDArray[Any]) -> NDArray[Any]:
        return prediction.astype(self.storage(task).dtype)


KIND = Classes()
