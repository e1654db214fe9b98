"""Predictions for a video: a video of panels or overlays, and files of every frame."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from vtadapt.workflows.predict.image import Predicted, Predictor
from vtadapt.workflows.predict.inputs import camera_of, named
from vtadapt.workflows.predict.outputs.coco import Coco
from vtadapt.workflows.predict.outputs.formats import OVERLAY, PANEL
from vtadapt.workflows.predict.outputs.outputs import Outputs
from vtadapt.workflows.predict.outputs.shot import Shot
from vtadapt.workflows.predict.video.drawing import Drawing, Over
from vtadapt.workflows.predict.video.frames import VideoOptions, announced, no_frame, open_video, rate_of, read_frames
from vtadapt.workflows.predict.video.steady import Steady
from vtadapt.workflows.predict.video.writer import Writer
from vtadapt.workflows.sizing.finite import NotFiniteError
from vtadapt.workflows.terminal.interrupt import uninterrupted
from vtadapt.workflows.terminal.progress import Progress
from vtadapt.workflows.terminal.text import say, warn

Draw = Callable[[np.ndarray, Mapping[str, Tensor]], np.ndarray]


@dataclass(frozen=True)
class Film:
    """What is made of videos.

    Attributes:
        predictor: the run, and at which size it works, as for photographs.
        outputs: panels and overlays are videos; of the other formats every frame has files of its own.
        options: which frames.
        coco: takes the masks, where they are wanted.
        quiet: no progress.
    """

    predictor: Predictor
    outputs: Outputs = Outputs()  # noqa: RUF009 - it cannot change
    options: VideoOptions = VideoOptions()  # noqa: RUF009 - it cannot change
    coco: Coco | None = None
    quiet: bool = False

    def __call__(self, path: Path, out: Path) -> dict[str, Any]:
        """Write ``out_panel`` and ``out_TASK_overlay``, with the suffix of their format, and ``out_frames/NUMBER_...``.

        Only the frame at hand is kept. Cells of panels are as large as the frames, or smaller to stay within 2560
        pixels across. A camera is watched until it is interrupted; what was written till then is a whole file.

        Args:
            path: the video, or the number of a camera.
            out: path of what is written, less the endings.

        Returns:
            {"image"[, "panel"][, "overlay": {task: path}][, "codec"][, "frames_folder"][, "coco"], "size": [H, W],
            "run_size": [H, W], "tiles", "frames", "frames_per_second" (of the result), "seconds", "images_per_second"}.

        Raises:
            BrokenVideoError: no frame can be read.
            NotFiniteError: what the network says of a frame is no number.
            VtadaptError: the result cannot be written.
        """
        capture = open_video(path)
        started = time.perf_counter()
        try:
            first = next(frames := read_frames(capture, self.options), None)
            if first is None:
                raise no_frame(path, capture)
            rate, total = rate_of(capture, self.options.every), announced(capture, self.options)
            made = _Made(self, out, rate, (first.shape[0], first.shape[1]))
            camera, name = camera_of(path), named(path)
            if camera is not None and not total:
                say(f"{name}: until it is interrupted (Ctrl-C), which keeps what was written, or --limit frames")
            whole = contextlib.nullcontext if camera is None else uninterrupted
            with made, Progress(total, 0, name, self.quiet or not total) as bar, self._watched(path):
                frame: np.ndarray | None = first
                while frame is not None:
                    with whole():
                        made.add(name, frame)
                    speed = made.count / (time.perf_counter() - started)
                    bar.update(made.count, {"images/s": speed})
                    frame = next(frames, None)
        finally:
            capture.release()
        if made.count < total:
            warn(f"{path} ends after {made.count} of {total} frames (cut short?)")
        seconds = time.perf_counter() - started
        found = {"image": str(path), **made.written(), "size": list(first.shape[:2]), **made.plan_report}
        timing = {"seconds": round(seconds, 3), "images_per_second": round(made.count / seconds, 2)}
        return {**found, "frames": made.count, "frames_per_second": round(rate, 3), **timing}

    @contextlib.contextmanager
    def _watched(self, path: Path) -> Iterator[None]:
        """Of a camera the end is an interruption: what was seen until then is kept."""
        try:
            yield
        except KeyboardInterrupt:
            if camera_of(path) is None:
                raise
            say(f"{named(path)} was ended")


class _Made:
    """The files that grow with the frames."""

    def __init__(self, film: Film, out: Path, rate: float, size: tuple[int, int]) -> None:
        self.film, self.out, self.size, self.count = film, out, size, 0
        self.plan_report: dict[str, Any] = {}
        tasks, formats = film.predictor.loaded.tasks, film.outputs.formats
        self.writers: dict[str, tuple[Writer, Draw]] = {}
        self.panel = Drawing(tasks, *size) if PANEL in formats else None
        if self.panel is not None:
            self.writers[PANEL] = Writer(out.with_name(f"{out.name}_panel"), rate), self.panel
        for name, task in tasks.items() if OVERLAY in formats else ():
            self.writers[f"{OVERLAY} {name}"] = (
                Writer(out.with_name(f"{out.name}_{name}_overlay"), rate),
                Over(name, task),
            )
        self.others = film.outputs.others
        self.masks: dict[str, str] = {}
        self.steady = Steady(tasks, film.options.smooth) if film.options.smooth else None
        self.predictor = film.predictor if self.steady is None else replace(film.predictor, after=self.steady)
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> _Made:
        for writer, _ in self.writers.values():
            self._stack.enter_context(writer)
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)

    def add(self, name: str, frame: np.ndarray) -> None:
        """Predict a frame and write what is made of it."""
        if self.steady is not None:
            self.steady.begin(frame)
        alone = self.panel is not None and len(self.writers) == 1 and self.others is None
        try:
            predicted = self.predictor(frame, self.panel.cell if alone and self.panel is not None else None)
        except NotFiniteError as error:
            raise NotFiniteError(f"{name}, frame {self.count + 1}: {error}") from error
        self.plan_report = predicted.plan.report
        for writer, draw in self.writers.values():
            writer.add(draw(frame, predicted.maps))
        if self.others is not None:
            self._files(name, frame, predicted)
        self.count += 1

    def _files(self, name: str, frame: np.ndarray, predicted: Predicted) -> None:
        assert self.others is not None
        number, loaded = self.count * self.film.options.every, self.predictor.loaded
        place = self.folder / f"{number:06d}"
        shot = Shot(
            f"{name}/{number:06d}", place, loaded.path.name, frame, loaded.tasks, predicted.maps, predicted.plan
        )
        self.masks = self.others.write(shot, self.film.coco, self.out).get("coco", self.masks)

    @property
    def folder(self) -> Path:
        """Of the files of each frame."""
        return self.out.with_name(f"{self.out.name}_frames")

    def written(self) -> dict[str, Any]:
        """Format -> path, once all is written."""
        found: dict[str, Any] = {}
        for key, (writer, _) in self.writers.items():
            name, _, task = key.partition(" ")
            if task:
                found.setdefault(name, {})[task] = str(writer.path)
            else:
                found[name] = str(writer.path)
            found["codec"] = writer.codec
        if self.masks:
            found["coco"] = self.masks
        if self.others is not None and os.path.isdir(self.folder):
            found["frames_folder"] = str(self.folder)
        return found
