"""What ``vtadapt predict`` makes of one photograph: its panel and, on request, its predictions as arrays."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from vtadapt.tasks import Task
from vtadapt.workflows.evaluate.cells import save_prediction
from vtadapt.workflows.predict.image import Predictor, read_image
from vtadapt.workflows.run.files import write_arrays


def predict_photograph(predictor: Predictor, file: Path, out: Path, raw: bool) -> dict[str, Any]:
    """Write the panel and, with ``raw``, the arrays of one photograph.

    Args:
        predictor: the run, and at which size it works.
        file: the photograph.
        out: path of what is written, less ``_panel.png`` and ``.npz``.
        raw: also write the decoded predictions.

    Returns:
        What :func:`vtadapt.workflows.predict.predict.predict` says of a photograph.
    """
    started = time.perf_counter()
    rgb = read_image(file)
    own = rgb.shape[0], rgb.shape[1]
    predicted = predictor(rgb)
    tasks, path = predictor.loaded.tasks, out.with_name(f"{out.name}_panel.png")
    footer = f"Run {predictor.loaded.path.name} at {predicted.plan.words(own)}, height x width."
    save_prediction(path, rgb, tasks, predicted.maps, title=file.name, footer=footer)
    entry = {"image": str(file), "panel": str(path), "size": [*own], **predicted.plan.report}
    if raw:
        entry["raw"] = str(write_arrays(out.with_name(f"{out.name}.npz"), as_arrays(tasks, predicted.maps)))
    seconds = time.perf_counter() - started
    return entry | {"seconds": round(seconds, 3), "images_per_second": round(1 / seconds, 2)}


def as_arrays(tasks: Mapping[str, Task], predictions: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    """One array per task: (H, W), or (H, W, C) where there are several channels; class ids as they are stored."""
    arrays: dict[str, np.ndarray] = {}
    for name, value in predictions.items():
        array = value.numpy()
        if array.ndim == 3:
            array = array[0] if array.shape[0] == 1 else np.moveaxis(array, 0, -1)
        arrays[name] = tasks[name].behaviour.raw(tasks[name], array)
    return arrays
