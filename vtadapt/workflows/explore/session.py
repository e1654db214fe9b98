"""The pictures that are being explored: predicted and looked at once each, then asked about pixel by pixel."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vtadapt.errors import DataError
from vtadapt.tasks import Task
from vtadapt.viz.attention import attention_cells
from vtadapt.viz.panels import Cell
from vtadapt.viz.report.pictures import embedded
from vtadapt.workflows.attention.look import REGULAR, Looked, look
from vtadapt.workflows.attention.options import QUERY
from vtadapt.workflows.attention.ready import Ready
from vtadapt.workflows.evaluate.cells import prediction_cells
from vtadapt.workflows.explore.values import value_at
from vtadapt.workflows.predict.image import Predicted, Predictor, image_of
from vtadapt.workflows.predict.outputs.shot import as_arrays

SIDE = 1280  # pixels of a picture's longer side on the page, at most
KEPT = 3  # pictures; what was seen of older ones is forgotten


@dataclass(frozen=True, eq=False)
class Explored:
    """A picture, and all that is asked about it.

    Attributes:
        rgb: as it is shown, (H, W, 3) uint8.
        own: its own (height, width).
        arrays: task -> prediction, (H, W) or (H, W, C), of the size that is shown.
        looked: where the blocks look, for pixels of the picture as it is shown; None for a run without adapters.
    """

    rgb: NDArray[np.uint8]
    own: tuple[int, int]
    arrays: Mapping[str, NDArray[Any]]
    looked: Looked | None


@dataclass
class Session:
    """What the page asks for; one question at a time.

    Attributes:
        predictor: the run.
        ready: the run as its attention is shown; None where it has none.
    """

    predictor: Predictor
    ready: Ready | None
    _kept: OrderedDict[str, Explored] = field(default_factory=OrderedDict)
    _alone: threading.Lock = field(default_factory=threading.Lock)

    @property
    def tasks(self) -> Mapping[str, Task]:
        """Name -> task."""
        return self.predictor.loaded.tasks

    def open(self, data: bytes, name: str) -> dict[str, Any]:
        """Read the content of a file and predict it, see :meth:`begin`; ``name`` is for messages alone.

        Raises:
            BrokenImageError: it is no picture, or too large.
        """
        with self._alone:
            rgb = image_of(data, name)
        return self.begin(rgb)

    def begin(self, rgb: NDArray[np.uint8]) -> dict[str, Any]:
        """Predict all tasks of a picture (H, W, 3), and look where they look.

        Returns:
            {"id", "words", "input": address of the picture, "tasks": [{"name", "src", "smooth",
            "about", "classes": [[name, [r, g, b]], ...]}, ...], "look": what :meth:`ask` returns of a first pixel}.
            Addresses of pictures are their data.

        Raises:
            VtadaptError: not enough memory, or what the network says is no number.
        """
        with self._alone:
            shown = _at_most(rgb, SIDE)
            predicted = self.predictor(rgb, (shown.shape[0], shown.shape[1]))
            explored = Explored(
                shown, (rgb.shape[0], rgb.shape[1]), as_arrays(self.tasks, predicted.maps), self._look(rgb, shown)
            )
            number = secrets.token_urlsafe(16)
            self._kept[number] = explored
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
            return {
                "id": number,
                "words": f"worked at {predicted.plan.words(explored.own)}, height x width",
                "input": embedded(Cell(shown), SIDE).src,
                "tasks": self._cards(predicted),
                "look": self._answer(explored, _first_pixel(explored)),
            }

    def ask(self, number: str, u: float, v: float) -> dict[str, Any]:
        """What the tasks say of a pixel, and where they look from there.

        Args:
            number: the "id" of the picture.
            u: from 0 at the left to 1 at the right.
            v: from 0 at the top to 1 at the bottom.

        Returns:
            {"place": [u, v], "pixel": [x, y] of the picture as it came, "values": {task: words}}, and with adapters
            {"maps": [{"name", "src", "range"}, ...], "gaps": the same of tasks less the frozen block, "high",
            "limit": of their scales, "words"}.

        Raises:
            DataError: that picture is not kept (any more).
        """
        with self._alone:
            explored = self._kept.get(number)
            if explored is None:
                raise DataError(f"only the last {KEPT} pictures are kept, and this is none of them; drop it once more")
            height, width = explored.rgb.shape[:2]
            pixel = min(int(u * width), width - 1), min(int(v * height), height - 1)
            return self._answer(explored, pixel) | {"place": [u, v]}

    def _look(self, rgb: NDArray[np.uint8], shown: NDArray[np.uint8]) -> Looked | None:
        """Where the blocks look; pixels are then those of the picture as it is shown."""
        if self.ready is None:
            return None
        return replace(look(rgb, self.ready), size=(shown.shape[0], shown.shape[1]))

    def _cards(self, predicted: Predicted) -> list[dict[str, Any]]:
        """One picture per task, and what explains its colours."""
        ranges = {name: task.value_range(predicted.maps[name]) for name, task in self.tasks.items()}
        found = []
        for cell, (name, task) in zip(
            prediction_cells(self.tasks, predicted.maps, ranges), self.tasks.items(), strict=True
        ):
            key = task.behaviour.key(task, [predicted.maps[name].numpy()], ranges[name])
            classes = [[text, [*map(int, colour)]] for text, colour in key.classes]
            about = {"about": key.about, "classes": classes}
            found.append({"name": name, "src": embedded(cell, SIDE).src, "smooth": cell.smooth, **about})
        return found

    def _answer(self, explored: Explored, pixel: tuple[int, int]) -> dict[str, Any]:
        (height, width), (x, y) = explored.rgb.shape[:2], pixel
        own = [int((x + 0.5) * explored.own[1] / width), int((y + 0.5) * explored.own[0] / height)]
        answer = {
            "place": [(x + 0.5) / width, (y + 0.5) / height],
            "pixel": own,
            "values": {name: value_at(task, explored.arrays[name], x, y) for name, task in self.tasks.items()},
        }
        return answer if self.ready is None else answer | _attention(explored, self.ready, pixel)


def _attention(explored: Explored, ready: Ready, pixel: tuple[int, int]) -> dict[str, Any]:
    """The pictures of where the blocks look from a pixel."""
    looked, plan = explored.looked, ready.plan
    assert looked is not None
    maps = looked.pictures(QUERY, pixel)
    tasks = {name: maps[f"taa_{name}"] for name in plan.tasks}
    cells = attention_cells(explored.rgb, maps[REGULAR], tasks, alpha=plan.alpha, query=pixel)
    rows, columns = looked.tokens
    return {
        "maps": [_named("frozen block", cells.regular)]
        + [_named(name, cell) for name, cell in zip(plan.tasks, cells.tasks, strict=True)],
        "gaps": [_named(name, cell) for name, cell in zip(plan.tasks, cells.gaps, strict=True)],
        "high": cells.high,
        "limit": cells.limit,
        "words": f"Share of the attention of the marked pixel's token, {plan.block_name} of "
        f"{ready.loaded.settings.encoder}, mean of {plan.heads} heads, {rows} x {columns} tokens; outlined is what "
        "that token can see. First the frozen block by itself.",
    }


def _named(name: str, cell: Cell) -> dict[str, str]:
    return {"name": name, "src": embedded(cell, SIDE).src, "range": cell.note}


def _first_pixel(explored: Explored) -> tuple[int, int]:
    """The pixel (x, y) that is shown before anybody asks: the one that looks at the fewest others, or the middle."""
    if explored.looked is None:
        return explored.rgb.shape[1] // 2, explored.rgb.shape[0] // 2
    pixel, _ = explored.looked.query_pixel("auto")
    assert pixel is not None
    return pixel


def _at_most(rgb: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """The picture, made smaller where its longer side has more pixels."""
    factor = side / max(rgb.shape[:2])
    if factor >= 1:
        return rgb
    size = max(1, round(rgb.shape[1] * factor)), max(1, round(rgb.shape[0] * factor))
    return np.asarray(Image.fromarray(rgb).resize(size, Image.Resampling.LANCZOS))
