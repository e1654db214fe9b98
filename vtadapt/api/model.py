"""A run that is ready to predict, to be trained on in a loop of one's own, measured and saved."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vtadapt.api.pictures import Picture, as_rgb, each_of, is_several
from vtadapt.api.prediction import Prediction, need_tasks
from vtadapt.errors import DataError, UsageError
from vtadapt.tasks import Task
from vtadapt.workflows.predict.image import Predictor
from vtadapt.workflows.run.load import Loaded, bring
from vtadapt.workflows.run.made import save_run
from vtadapt.workflows.sizing.size import Sizing


class Model:
    """A run, ready to predict; made by :func:`vtadapt.load`, :func:`vtadapt.train` and :func:`vtadapt.create`."""

    def __init__(self, loaded: Loaded, device: str = "cpu") -> None:
        """Keep a loaded run, whose network is on ``device`` or brought there."""
        self._loaded = loaded
        self.to(device)

    def __repr__(self) -> str:
        return f"Model({os.fspath(self.path)!r}, tasks={[*self.tasks]})"

    @property
    def path(self) -> Path:
        """The run's folder; of a model that was created and not yet saved, where its runs would be."""
        return self._loaded.path

    @property
    def tasks(self) -> Mapping[str, Task]:
        """Name -> what there is to know of the task: kind, units, classes, colours, metrics."""
        return self._loaded.tasks

    @property
    def network(self) -> nn.Module:
        """The network itself: (B, 3, H, W) float in 0..1 -> task name -> logits (B, channels, H, W).

        ``model.tasks[name].decode(logits)`` makes ids, metres, unit vectors or probabilities of them.
        """
        return self._loaded.model

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the pictures it was trained on, which ``predict`` works near unless told otherwise."""
        return self._loaded.size

    def to(self, device: str) -> Model:
        """Move the network to a torch device, "cpu", "cuda", "cuda:1", "mps", and return the model.

        Raises:
            UsageError: a device that is not there.
        """
        bring(self._loaded.model, device)
        self._device = device
        return self

    @overload
    def predict(
        self,
        image: list[Picture] | tuple[Picture, ...] | Iterator[Picture],
        *,
        tasks: Sequence[str] | None = None,
        size: str | tuple[int, int] = "auto",
        tile: str | int | tuple[int, int] = "auto",
        binary: bool = False,
    ) -> list[Prediction]: ...

    @overload
    def predict(
        self,
        image: Picture,
        *,
        tasks: Sequence[str] | None = None,
        size: str | tuple[int, int] = "auto",
        tile: str | int | tuple[int, int] = "auto",
        binary: bool = False,
    ) -> Prediction: ...

    def predict(
        self,
        image: Picture | Iterable[Picture],
        *,
        tasks: Sequence[str] | None = None,
        size: str | tuple[int, int] = "auto",
        tile: str | int | tuple[int, int] = "auto",
        binary: bool = False,
    ) -> Prediction | list[Prediction]:
        """What the run says of a picture, or of several of any sizes.

        >>> out = vtadapt.load("demo").predict("photo.jpg")
        >>> out["depth"].shape == out.image.shape[:2], out.units["depth"]
        (True, 'm')

        Args:
            image: a path, a PIL image, an array (H, W, 3) or (H, W), a tensor (3, H, W), of uint8 or of floats in 0..1;
                or several: a list or an iterator of those, an array (B, H, W, 3), a tensor (B, 3, H, W).
            tasks: only these; None for all.
            size: the size to work at, as for ``vtadapt predict --size``, or (height, width).
            tile: whether in tiles, as for ``vtadapt predict --tile``.
            binary: edges as 0 and 1 at the run's own threshold, as for ``vtadapt predict --binary``.

        Returns:
            A :class:`Prediction`: task name -> array as large as the picture. For several pictures a list of those.

        Raises:
            UsageError: something that is no picture, a task that the run does not have, or a size or tile that is none.
            DataError: a file that cannot be read.
        """
        options: dict[str, Any] = {"tasks": tasks, "size": size, "tile": tile, "binary": binary}
        if is_several(image):
            return list(self.stream(each_of(image), **options))
        return next(self.stream([image], **options))  # type: ignore[list-item]

    def stream(
        self,
        images: Iterable[Picture],
        *,
        tasks: Sequence[str] | None = None,
        size: str | tuple[int, int] = "auto",
        tile: str | int | tuple[int, int] = "auto",
        binary: bool = False,
    ) -> Iterator[Prediction]:
        """Yield what :meth:`predict` returns for each picture, as it comes, so that thousands need no memory.

        >>> for out in vtadapt.load("demo").stream(["photo.jpg", "photo.jpg"], tasks=["depth"]):
        ...     print(list(out))
        ['depth']
        ['depth']
        """
        loaded = self._loaded.deciding() if binary else self._loaded
        if tasks is not None:
            loaded = replace(loaded, tasks={name: loaded.tasks[name] for name in need_tasks(tasks, loaded.tasks)})
        sizing = Sizing(_sides(size), _sides(tile))
        predictor = Predictor(loaded, sizing, self._device)
        for image in images:
            rgb = as_rgb(image)
            training = loaded.model.training  # in a loop of one's own
            try:
                loaded.model.eval()
                predicted = predictor(rgb)
            finally:
                loaded.model.train(training)
            yield Prediction(rgb, loaded.tasks, predicted, self.path.name)

    def parameters(self) -> list[nn.Parameter]:
        """The parameters that training changes, for an optimiser; the frozen backbone's are not among them."""
        return self._loaded.model.trained_parameters()

    def targets(self, labels: Mapping[str, NDArray[Any] | Sequence[NDArray[Any]]]) -> dict[str, Tensor]:
        """Labels as :meth:`loss` takes them: task name -> (B, H, W) ids, or (B, C, H, W) float32.

        Args:
            labels: task name -> arrays of a batch in the form that :meth:`predict` returns. No label is 255 for a
                class, 0 for a distance, NaN for another number or an edge, the vector 0 for a direction.

        Raises:
            UsageError: a task that the model does not have.
        """
        found = {}
        for name in need_tasks([*labels], self.tasks):
            task = self.tasks[name]
            each = [task.behaviour.to_target(task, np.ascontiguousarray(array)) for array in labels[name]]
            found[name] = torch.stack(each).to(self._device)
        return found

    def loss(self, logits: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> Tensor:
        """The sum of the tasks' losses, each times its weight, with a gradient; tasks without a label count 0.

        Args:
            logits: what :attr:`network` returned.
            targets: of all tasks or of some, see :meth:`targets`.

        Raises:
            UsageError: a task that the model does not have.
            DataError: shapes do not fit, or a label id is out of range.
        """
        names = need_tasks([*targets], self.tasks)
        losses = [self.tasks[n].weight * self.tasks[n].loss_fn(logits[n], targets[n]).value for n in names]
        return torch.stack(losses).sum()

    def evaluate(
        self, data: str | None = None, split: str = "val", *, data_dir: str | os.PathLike[str] | None = None
    ) -> dict[str, Any]:
        """Measure the run, as ``vtadapt eval`` does; returns what that prints with ``--json``.

        Args:
            data: another data set than the run's own.
            split: of it.
            data_dir: folder of the packs; None for the run's own.

        Raises:
            DataError: the data is not prepared, or the model was not saved.
        """
        from vtadapt.workflows.evaluate.evaluate import EvalOptions, evaluate_run  # here: predicting needs none of it

        if not self.path.is_dir():
            raise DataError("this model has no folder yet; save(FOLDER) it, then evaluate what load(FOLDER) returns")
        folder = None if data_dir is None else Path(data_dir)
        return evaluate_run(self.path, EvalOptions(data, split, folder))

    def save(self, folder: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Write the model as a run, which ``vtadapt.load`` and every command take, and return its folder.

        Only what is trained is written (safetensors), as of every run: the frozen backbone stays where it is.

        Raises:
            DataError: the disk refuses, or a run is there and it is not to be overwritten.
        """
        self._loaded = save_run(self._loaded, Path(folder), overwrite=overwrite)
        return self.path


def _sides(size: str | int | tuple[int, int]) -> str:
    if isinstance(size, str):
        return size
    sides = [size] if isinstance(size, int) else [*size]
    if not all(isinstance(side, int | np.integer) for side in sides):
        raise UsageError(f"size {size!r}; wanted auto, native, HEIGHTxWIDTH or (height, width)")
    return "x".join(map(str, sides))
