"""vtadapt from Python: :func:`load` a run and predict with it, :func:`train` one."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias, overload

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from vtadapt.errors import UsageError
from vtadapt.tasks import Task
from vtadapt.workflows.predict.image import Predictor, read_image
from vtadapt.workflows.predict.photograph import as_arrays
from vtadapt.workflows.run.folder import find_run
from vtadapt.workflows.run.load import Loaded, load_run
from vtadapt.workflows.run.settings import validate
from vtadapt.workflows.run.settings.reading import check_read
from vtadapt.workflows.sizing.size import Sizing

Picture: TypeAlias = "str | os.PathLike[str] | Image.Image | NDArray[Any] | Tensor"
Predictions: TypeAlias = dict[str, NDArray[Any]]


class Model:
    """A finished run, ready to predict; made by :func:`load` and :func:`train`."""

    def __init__(self, loaded: Loaded, device: str = "cpu") -> None:
        """Keep a loaded run and move its network to ``device``."""
        self._loaded, self._device = loaded, device
        loaded.model.to(device)

    def __repr__(self) -> str:
        return f"Model({os.fspath(self.path)!r}, tasks={[*self.tasks]})"

    @property
    def path(self) -> Path:
        """The run's folder."""
        return self._loaded.path

    @property
    def tasks(self) -> Mapping[str, Task]:
        """Name -> what there is to know of the task: kind, units, classes, colours, metrics."""
        return self._loaded.tasks

    @property
    def network(self) -> nn.Module:
        """The network itself: (B, 3, H, W) float in 0..1 -> task name -> logits (B, channels, H, W)."""
        return self._loaded.model

    @overload
    def predict(
        self, image: list[Picture], *, size: str = "auto", tile: str = "auto", binary: bool = False
    ) -> list[Predictions]: ...

    @overload
    def predict(
        self, image: Picture, *, size: str = "auto", tile: str = "auto", binary: bool = False
    ) -> Predictions: ...

    def predict(
        self, image: Picture | list[Picture], *, size: str = "auto", tile: str = "auto", binary: bool = False
    ) -> Predictions | list[Predictions]:
        """What the run says of a photograph.

        Args:
            image: a path, a PIL image, an array (H, W, 3) or (H, W) uint8, a tensor (3, H, W) of uint8 or of floats in
                0..1; or several: a list of those, or a tensor (B, 3, H, W).
            size: the size to work at, as for ``vtadapt predict --size``.
            tile: whether in tiles, as for ``vtadapt predict --tile``.
            binary: edges as 0 and 1 at the run's own threshold, as for ``vtadapt predict --binary``.

        Returns:
            Task name -> array as large as the photograph: class ids (H, W), a number in the task's units (H, W), a unit
            vector (H, W, 3), or the probability of an edge (H, W), 0 or 1 where
            that is asked for. For several photographs a list of those.

        Raises:
            UsageError: something that is no picture, or a size or tile that is none.
            DataError: a file that cannot be read.
        """
        if isinstance(image, Tensor) and image.dim() == 4:
            return [self.predict(one, size=size, tile=tile, binary=binary) for one in image]
        if isinstance(image, list | tuple):
            return [self.predict(one, size=size, tile=tile, binary=binary) for one in image]
        loaded = self._loaded.deciding() if binary else self._loaded
        found = Predictor(loaded, Sizing(size, tile), self._device)(as_rgb(image))
        return as_arrays(self._loaded.tasks, found.maps)


def load(
    run: str | os.PathLike[str] | None = None,
    *,
    run_dir: str | os.PathLike[str] = "runs",
    weights: str | os.PathLike[str] | None = None,
) -> Model:
    """Load a finished run.

    Args:
        run: its folder, its name in ``run_dir``, or "demo" for the bundled one; None for the newest in ``run_dir``, and
            the bundled one where there is none.
        run_dir: folder of the runs.
        weights: of the run's backbone, where they are not found by themselves: a file, or "timm" or "hf-hub:ORG/NAME",
            which download.

    Raises:
        ConfigError: no such run, or its files do not fit together.
    """
    found = find_run(None if run is None else os.fspath(run), Path(run_dir))
    return Model(load_run(found, weights=None if weights is None else os.fspath(weights)))


def train(data: str, *, quiet: bool = True, **settings: Any) -> Model:
    """Train a run, as ``vtadapt train`` does, and load it.

    Args:
        data: a data set, or several joined with "+".
        quiet: no progress on stderr.
        settings: any of those that ``vtadapt settings`` lists.

    Raises:
        ConfigError: a setting that does not exist, does not fit, or that the method does not read.
        DataError: the data is not prepared, or lacks labels.
    """
    from vtadapt.workflows.train.train import train as train_run  # here: it takes seconds, which loading need not wait

    chosen = validate({"data": data, **settings}, "train")
    check_read({key: "" for key in settings if chosen.changed(key)}, [chosen])
    return Model(load_run(Path(train_run(chosen, quiet=quiet)["run"])))


def as_rgb(image: Picture) -> NDArray[np.uint8]:
    """Any picture as (H, W, 3) uint8 RGB, see :meth:`Model.predict`.

    Raises:
        UsageError: another shape or type.
        DataError: a file that cannot be read.
    """
    if isinstance(image, str | os.PathLike):
        return read_image(Path(image))
    if isinstance(image, Image.Image):
        return np.asarray(image.convert("RGB"))
    array = image
    if isinstance(image, Tensor):
        if image.dim() == 3 and image.shape[0] == 3:
            image = image.permute(1, 2, 0)
        if image.is_floating_point():
            image = (image.detach().clamp(0, 1) * 255).round().to(torch.uint8)
        array = image.cpu().numpy()
    if isinstance(array, np.ndarray) and array.dtype == np.uint8:
        if array.ndim == 2:
            array = np.repeat(array[..., None], 3, axis=2)
        if array.ndim == 3 and array.shape[2] == 3 and array.size:
            return np.ascontiguousarray(array)
    found = f"{type(array).__name__} {getattr(array, 'dtype', '')} {getattr(array, 'shape', '')}".strip()
    raise UsageError(
        f"cannot take {found} for a picture; wanted a path, a PIL image, an array (H, W, 3) of uint8, "
        "or a tensor (3, H, W)"
    )
