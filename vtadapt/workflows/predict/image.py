"""One picture through a run: read, and predicted at the size that the run works at."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from torch import Tensor

from vtadapt.data.readers.raw.picture import is_there
from vtadapt.data.readers.raw.rgb import read_rgb, rgb_of
from vtadapt.errors import DataError
from vtadapt.workflows.predict.inputs import PHOTOGRAPHS, BrokenImageError, LargeImageError
from vtadapt.workflows.run.load import Loaded
from vtadapt.workflows.sizing.decoded import decoded
from vtadapt.workflows.sizing.finite import need_finite
from vtadapt.workflows.sizing.size import Plan, Sizing, units_of


def read_image(path: Path) -> np.ndarray:
    """Read a photograph as (H, W, 3) uint8 RGB, turned as its EXIF says.

    Raises:
        BrokenImageError: missing, cut short, not an image, or too large for the memory.
    """
    if not is_there(path):
        found = "no image" if not os.path.lexists(path) else "neither a file nor a folder"
        raise BrokenImageError(
            f"{found} at {os.fspath(path)!r}; wanted a file ({', '.join(PHOTOGRAPHS)}) or a folder of them"
        )
    with _told(path):
        return read_rgb(path)


def image_of(data: bytes, name: str) -> np.ndarray:
    """The content of a file that came by other ways than the disk, as :func:`read_image` gives it, errors likewise.

    ``name`` is for messages alone: no file of that name is opened.
    """
    with _told(name):
        return rgb_of(data, name)


@contextlib.contextmanager
def _told(name: Path | str) -> Iterator[None]:
    try:
        yield
    except DataError as error:
        raise BrokenImageError(str(error)) from error
    except MemoryError as error:
        raise LargeImageError(f"{name}: not enough memory to open the picture; make it smaller first") from error


class Predicted(NamedTuple):
    """What a run says of a picture, task -> decoded map on the CPU, and how it was looked at.

    Maps of tasks that ``loaded.cuts`` names are True and False.
    """

    maps: dict[str, Tensor]
    plan: Plan


@dataclass(frozen=True)
class Predictor:
    """A run that is ready to predict pictures.

    Attributes:
        loaded: the run, its model on ``device``.
        sizing: the size that the network works at, and in which tiles.
        device: torch device.
        after: what becomes of logits before they are decoded, such as an average over the frames of a video.
    """

    loaded: Loaded
    sizing: Sizing = Sizing()  # noqa: RUF009 - it cannot change
    device: str = "cpu"
    after: Callable[[Mapping[str, Tensor]], dict[str, Tensor]] | None = None

    def __call__(self, rgb: np.ndarray, shown: tuple[int, int] | None = None) -> Predicted:
        """Predict all tasks of a picture.

        Args:
            rgb: (H, W, 3) uint8.
            shown: (height, width) of the predictions; None for the picture's own.

        Raises:
            UsageError: tiles that are too small for the network.
            VtadaptError: not enough memory.
            NotFiniteError: what the network says is no number.
        """
        own, loaded = (rgb.shape[0], rgb.shape[1]), self.loaded
        wanted = None if len(loaded.tasks) == len(loaded.model.tasks) else tuple(loaded.tasks)
        plan = self.sizing.plan(own, loaded.size, units_of(loaded.model))

        def network(image: Tensor) -> dict[str, Tensor]:
            logits = need_finite(dict(loaded.model(image.to(self.device), wanted)))
            return logits if self.after is None else self.after(logits)

        maps = decoded(network, rgb, loaded.tasks, plan, shown or own)
        return Predicted({n: m >= loaded.cuts[n] if n in loaded.cuts else m for n, m in maps.items()}, plan)
