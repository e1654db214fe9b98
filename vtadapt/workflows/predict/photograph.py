"""What ``vtadapt predict`` makes of one photograph: its panel and, on request, its predictions as arrays."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from vtadapt.errors import UsageError
from vtadapt.tasks import Task
from vtadapt.viz.panels import save_png
from vtadapt.workflows.evaluate.cells import prediction_page
from vtadapt.workflows.predict.image import Predicted, Predictor, read_image
from vtadapt.workflows.run.files import write_arrays


@dataclass(frozen=True)
class Outputs:
    """What is written of a photograph.

    Attributes:
        panel: the picture beside its predictions in colour.
        raw: the decoded predictions as arrays.
    """

    panel: bool = True
    raw: bool = False

    def __post_init__(self) -> None:
        """Check that it is something.

        Raises:
            UsageError: it is nothing.
        """
        if not (self.panel or self.raw):
            raise UsageError("--no-panel leaves nothing to write; add --raw for the predictions as arrays (NAME.npz)")


@dataclass
class Begun:
    """A photograph on its way.

    Attributes:
        file: that it is in.
        out: path of what is written, less ``_panel.png`` and ``.npz``.
        rgb: (H, W, 3) uint8.
        predicted: what the run says of it, as soon as that is known.
        seconds: of work on it so far; what it waited is not in it.
    """

    file: Path
    out: Path
    rgb: np.ndarray
    predicted: Predicted | None = None
    seconds: float = 0.0

    @property
    def pixels(self) -> int:
        """How many it has."""
        return self.rgb.shape[0] * self.rgb.shape[1]


@dataclass(frozen=True)
class PhotographSteps:
    """What is done with a photograph, see :class:`vtadapt.workflows.predict.side_by_side.Steps`.

    Attributes:
        predictor: the run, and at which size it works.
        outputs: what is written.
    """

    predictor: Predictor
    outputs: Outputs

    def read(self, file: Path, out: Path) -> Begun:
        """Read the file; raises BrokenImageError."""
        started = time.perf_counter()
        begun = Begun(file, out, read_image(file))
        begun.seconds += time.perf_counter() - started
        return begun

    def predict(self, begun: Begun) -> Begun:
        """Predict all tasks."""
        started = time.perf_counter()
        begun.predicted = self.predictor(begun.rgb)
        begun.seconds += time.perf_counter() - started
        return begun

    def write(self, begun: Begun) -> dict[str, Any]:
        """Write panel and arrays; returns what :func:`vtadapt.workflows.predict.predict.predict` says of it."""
        started = time.perf_counter()
        entry = self._write(begun)
        seconds = begun.seconds + time.perf_counter() - started
        return entry | {"seconds": round(seconds, 3), "images_per_second": round(1 / seconds, 2)}

    def _write(self, begun: Begun) -> dict[str, Any]:
        rgb, out, predicted = begun.rgb, begun.out, begun.predicted
        assert predicted is not None
        own = rgb.shape[0], rgb.shape[1]
        tasks, run = self.predictor.loaded.tasks, self.predictor.loaded.path.name
        entry: dict[str, Any] = {"image": str(begun.file)}
        if self.outputs.panel:
            path = out.with_name(f"{out.name}_panel.png")
            footer = f"Run {run} at {predicted.plan.words(own)}, height x width."
            save_png(path, prediction_page(rgb, tasks, predicted.maps, title=begun.file.name, footer=footer))
            entry["panel"] = str(path)
        entry |= {"size": [*own], **predicted.plan.report}
        if self.outputs.raw:
            entry["raw"] = str(write_arrays(out.with_name(f"{out.name}.npz"), as_arrays(tasks, predicted.maps)))
        return entry


def as_arrays(tasks: Mapping[str, Task], predictions: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    """One array per task: (H, W), or (H, W, C) where there are several channels; class ids as they are stored."""
    arrays: dict[str, np.ndarray] = {}
    for name, value in predictions.items():
        array = value.numpy()
        if array.ndim == 3:
            array = array[0] if array.shape[0] == 1 else np.moveaxis(array, 0, -1)
        arrays[name] = tasks[name].behaviour.raw(tasks[name], array)
    return arrays
