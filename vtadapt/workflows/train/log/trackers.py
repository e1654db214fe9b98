"""Trackers of experiments, on request: Weights & Biases, which sends what it is given to its server, and Trackio.

Both are used by the calls that they share (init, log, Image, finish); neither is asked for unless a setting names it.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import sys
import uuid
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from vtadapt.atomic import write_json
from vtadapt.errors import UsageError
from vtadapt.workflows.run import files
from vtadapt.workflows.terminal.text import warn

PROJECT = "vtadapt"
FILE = "tracker.json"
"""In a run's folder: by which identity a tracker knows it, so that a resumed run is no second one there."""


def need_tracker(name: str | None) -> None:
    """See that the package of a tracker is installed.

    Raises:
        UsageError: it is not.
    """
    if name is not None and importlib.util.find_spec(name) is None:
        raise UsageError(f"tracker = {name!r} needs {name}; install with: pip install 'vtadapt[{name}]'")


class Tracker:
    """Sends the records of a run to a tracker; what that refuses is said once, and the run goes on."""

    def __init__(self, name: str, path: Path, settings: Mapping[str, Any]) -> None:
        """Begin, or go on with, the run of the folder ``path`` there."""
        self.name, self.run = name, None
        self.module: Any = importlib.import_module(name)
        options: dict[str, Any] = {"project": PROJECT, "name": path.name, "config": dict(settings), "resume": "allow"}
        if name == "wandb":
            options |= {"id": _identity(path), "dir": str(path)}
        else:
            options |= {"embed": False}
        self.run = self._tried(lambda: self.module.init(**options))

    @property
    def draws(self) -> bool:
        """Whether anything is sent."""
        return self.run is not None

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Send numbers of a step."""
        self._send(dict(values), step)

    def pictures(self, pictures: Mapping[str, np.ndarray], step: int) -> None:
        """Send pictures, (H, W, 3) uint8 RGB."""
        if self.run is not None:
            self._send({name: self.module.Image(picture) for name, picture in pictures.items()}, step)

    def close(self) -> None:
        """Send what waits."""
        if self.run is not None:
            self._tried(self.module.finish)

    def _send(self, values: dict[str, Any], step: int) -> None:
        if self.run is not None and values:
            self._tried(partial(self.module.log, values, step=step))

    def _tried(self, work: Callable[[], Any]) -> Any:
        try:
            with contextlib.redirect_stdout(sys.stderr):  # they greet on stdout, which is for results
                return work()
        except Exception as error:  # of many kinds of their own: no network, no account, a server that is down
            self.run = None
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            warn(f"nothing more is sent to {self.name} ({reason}); the run goes on")
            return None


def _identity(path: Path) -> str:
    """The run's own, made once."""
    if not (path / FILE).is_file():
        write_json(path / FILE, {"id": uuid.uuid4().hex}, checked=True)
    return str(files.read_json(path / FILE)["id"])
