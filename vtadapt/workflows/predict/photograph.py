"""What ``vtadapt predict`` does with one photograph: read, predict, write."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from vtadapt.workflows.predict.image import Predicted, Predictor, read_image
from vtadapt.workflows.predict.outputs.coco import Coco
from vtadapt.workflows.predict.outputs.outputs import Outputs
from vtadapt.workflows.predict.outputs.shot import Shot
from vtadapt.workflows.sizing.finite import NotFiniteError


@dataclass
class Begun:
    """A photograph on its way.

    Attributes:
        file: that it is in.
        out: path of what is written, less what each format adds to it.
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
        coco: takes the masks, where they are wanted.
        names: what files that list several pictures call them; else their file names.
    """

    predictor: Predictor
    outputs: Outputs
    coco: Coco | None = None
    names: Mapping[Path, str] = field(default_factory=dict)

    def read(self, file: Path, out: Path) -> Begun:
        """Read the file; raises BrokenImageError."""
        started = time.perf_counter()
        begun = Begun(file, out, read_image(file))
        begun.seconds += time.perf_counter() - started
        return begun

    def predict(self, begun: Begun) -> Begun:
        """Predict all tasks; raises NotFiniteError."""
        started = time.perf_counter()
        try:
            begun.predicted = self.predictor(begun.rgb)
        except NotFiniteError as error:
            raise NotFiniteError(f"{begun.file}: {error}") from error
        begun.seconds += time.perf_counter() - started
        return begun

    def write(self, begun: Begun) -> dict[str, Any]:
        """Write the files; returns what :func:`vtadapt.workflows.predict.predict.predict` says of it."""
        started = time.perf_counter()
        entry = self._write(begun)
        seconds = begun.seconds + time.perf_counter() - started
        return entry | {"seconds": round(seconds, 3), "images_per_second": round(1 / seconds, 2)}

    def _write(self, begun: Begun) -> dict[str, Any]:
        assert begun.predicted is not None
        maps, plan = begun.predicted
        loaded, name = self.predictor.loaded, self.names.get(begun.file, begun.file.name)
        shot = Shot(name, begun.out, loaded.path.name, begun.rgb, loaded.tasks, maps, plan)
        written = self.outputs.write(shot, self.coco)
        return {"image": str(begun.file), **written, "size": [*shot.size], **plan.report}
