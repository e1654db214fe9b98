"""The files of one picture, in all the formats that were asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vtadapt.atomic import write_json
from vtadapt.errors import UsageError
from vtadapt.tasks import Task
from vtadapt.viz.overlay import overlay, overlay_lines
from vtadapt.viz.panels import save_png
from vtadapt.workflows.evaluate.cells import prediction_page
from vtadapt.workflows.predict.outputs.coco import Coco
from vtadapt.workflows.predict.outputs.formats import COCO, IDS, JSON, LOSSLESS, OVERLAY, PANEL, RAW, parse_formats
from vtadapt.workflows.predict.outputs.lossless import write_classes, write_lossless
from vtadapt.workflows.predict.outputs.shot import Shot
from vtadapt.workflows.predict.outputs.summary import summary
from vtadapt.workflows.run.files import write_arrays


@dataclass(frozen=True)
class Outputs:
    """What is written of a picture: ``formats``, of those in :mod:`.formats`."""

    formats: tuple[str, ...] = (PANEL,)

    @classmethod
    def chosen(cls, formats: str | Sequence[str], *, panel: bool = True, raw: bool = False) -> Outputs:
        """What was asked for, by name and by the older options.

        Args:
            formats: names.
            panel: False takes the panel out.
            raw: also the arrays.

        Raises:
            UsageError: no such format, or nothing is left to write.
        """
        names = [*parse_formats(formats), *([RAW] if raw else [])]
        names = [name for name in names if panel or name != PANEL]
        if not names:
            raise UsageError(
                "--no-panel leaves nothing to write; add --raw for the predictions as arrays (NAME.npz), or another "
                "--format"
            )
        return cls(parse_formats(names))

    @property
    def panel(self) -> bool:
        """Whether panels are drawn."""
        return PANEL in self.formats

    @property
    def others(self) -> Outputs | None:
        """All but what of a video is a video itself; None where nothing is left."""
        rest = tuple(name for name in self.formats if name not in (PANEL, OVERLAY))
        return Outputs(rest) if rest else None

    def begin(self, folder: Path, tasks: Mapping[str, Task]) -> None:
        """Write what all pictures share: the names of classes beside maps of their ids."""
        if IDS in self.formats:
            write_classes(folder, tasks)

    def write(self, shot: Shot, coco: Coco | None = None, of: Path | None = None) -> dict[str, Any]:
        """Write the files of one picture; returns format -> path, or task -> path; arrays are "raw".

        Args:
            shot: the picture.
            coco: takes the masks, where they are wanted.
            of: see :meth:`Coco.add`.
        """
        found: dict[str, Any] = {}
        for name in self.formats:
            if name == PANEL:
                found[PANEL] = str(write_panel(shot))
            elif name == RAW:
                found["raw"] = str(write_arrays(shot.beside(".npz"), shot.arrays))
            elif name == JSON:
                write_json(path := shot.beside(".json"), summary(shot))
                found[JSON] = str(path)
            elif name == OVERLAY:
                found[OVERLAY] = write_overlays(shot)
            elif name == COCO and coco is not None:
                found[COCO] = coco.add(shot, of)
            elif name in LOSSLESS:
                found[name] = write_lossless(shot, LOSSLESS[name])
        return found


def write_panel(shot: Shot) -> Path:
    """Write ``NAME_panel.png``, the picture beside its predictions in colour."""
    footer = f"Run {shot.run} at {shot.plan.words(shot.size)}, height x width."
    return save_png(
        shot.beside("_panel.png"), prediction_page(shot.rgb, shot.tasks, shot.maps, title=shot.name, footer=footer)
    )


def write_overlays(shot: Shot) -> dict[str, str]:
    """Write ``NAME_TASK_overlay.png`` of every task."""
    return {
        name: str(
            save_png(shot.beside(f"_{name}_overlay.png"), over(shot.rgb, task, shot.maps[name], shot.arrays[name]))
        )
        for name, task in shot.tasks.items()
    }


def over(
    rgb: NDArray[np.uint8],
    task: Task,
    prediction: Any,
    array: NDArray[Any],
    value_range: tuple[float, float] | None = None,
) -> NDArray[np.uint8]:
    """A prediction over its picture: colours mixed with it, or lines where it tells of lines."""
    if task.behaviour.yes_or_no:
        return overlay_lines(rgb, array.astype(np.float32))
    return overlay(rgb, task.colour(prediction, value_range))
