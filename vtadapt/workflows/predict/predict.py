"""``vtadapt predict``: a run's predictions for any photographs and videos, in any of the formats."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

from vtadapt.atomic import disk_error
from vtadapt.digits import amount
from vtadapt.workflows.predict.image import Predictor
from vtadapt.workflows.predict.inputs import (
    PHOTOGRAPHS,
    VIDEOS,
    BrokenImageError,
    BrokenVideoError,
    check_out,
    find_images,
    is_video,
    leave_out,
    unique_stems,
)
from vtadapt.workflows.predict.outputs.coco import Coco, names_for
from vtadapt.workflows.predict.outputs.formats import COCO, PANEL, need_tasks
from vtadapt.workflows.predict.outputs.outputs import Outputs
from vtadapt.workflows.predict.photograph import PhotographSteps
from vtadapt.workflows.predict.side_by_side import side_by_side, threads_for
from vtadapt.workflows.predict.tables import written
from vtadapt.workflows.predict.video.film import Film
from vtadapt.workflows.predict.video.frames import VideoOptions
from vtadapt.workflows.run.load import load_run
from vtadapt.workflows.sizing.finite import NotFiniteError
from vtadapt.workflows.sizing.size import Sizing
from vtadapt.workflows.terminal.text import say

# Not a full disk, say, which the next file would meet as well.
_OF_ONE_FILE = (BrokenImageError, BrokenVideoError, NotFiniteError)


def predict(
    images: Sequence[Path],
    run: Path,
    out: Path,
    *,
    formats: str | Sequence[str] = PANEL,
    size: str = "auto",
    tile: str = "auto",
    raw: bool = False,
    panel: bool = True,
    binary: bool = False,
    device: str = "cpu",
    video: VideoOptions | None = None,
    weights: str | None = None,
    threads: int | None = None,
) -> list[dict[str, Any]]:
    """Write what was asked for of each photograph and each video.

    Args:
        images: photographs and videos, folders of which all are taken, numbers of cameras; "-" for what stdin lists.
        run: a finished run.
        out: folder of what is written; made if needed.
        formats: what is written, see :mod:`vtadapt.workflows.predict.outputs.formats`. Of a video panels and overlays
            are videos; of the others every frame has files of its own in NAME_frames.
        size: that the network works at, see :class:`vtadapt.workflows.sizing.size.Sizing`; predictions are brought back
            to the photograph's own.
        tile: in tiles, see there.
        raw: also the format "npz".
        panel: False: not the format "panel".
        binary: make boundaries yes or no at the run's own threshold, where that is known; in arrays 0 and 1.
        device: torch device.
        video: which frames of videos; None for all.
        weights: where those of the run's backbone are, see :func:`vtadapt.workflows.run.load.load_run`.
        threads: that draw and write while the network runs; None for as many as torch has, 1 for no others.

    Returns:
        For each photograph {"image"[, FORMAT: path, or {task: path}; "raw" for arrays], "size": [H, W], "run_size":
        [H, W], "tiles" (1 for the whole), "seconds" (of work on it, less what it waited), "images_per_second"
        (1 / seconds)}, for each video what :class:`vtadapt.workflows.predict.video.film.Film` returns. Of several files
        one that cannot be read, or of which the network says no number, is told on stderr and stands as {"image",
        "error"[, "code"]}; see :func:`failure_of`.

    Raises:
        DataError: no photograph found, or the only file cannot be read.
        NotFiniteError: what the network says of the only file is no number.
        UsageError: a format, size or tile that is none or too small, nothing to write, no such device, or ``out`` is
            the folder of a photograph.
        VtadaptError: not enough memory.
    """
    sizing, outputs = Sizing(size, tile), Outputs.chosen(formats, panel=panel, raw=raw)
    files = list(find_images(images, (*PHOTOGRAPHS, *VIDEOS)))
    check_out(files, out)
    loaded = load_run(run, device, weights=weights)
    need_tasks(outputs.formats, loaded.tasks, loaded.path.name)
    predictor = Predictor(loaded.deciding() if binary else loaded, sizing, device)
    return _all(predictor, files, out, outputs, video or VideoOptions(), threads)


def _all(
    predictor: Predictor, files: Sequence[Path], out: Path, outputs: Outputs, video: VideoOptions, threads: int | None
) -> list[dict[str, Any]]:
    """Predict files in their order: photographs that follow one another side by side, videos one by one."""
    with disk_error(out):
        out.mkdir(parents=True, exist_ok=True)
    outputs.begin(out, predictor.loaded.tasks)
    stems = [(file, out / name) for name, file in zip(unique_stems(files), files, strict=True)]
    coco = Coco(out, [path for _, path in stems]) if COCO in outputs.formats else None
    steps = PhotographSteps(predictor, outputs, coco, {} if coco is None else names_for(files))
    entries: list[dict[str, Any]] = []
    for of_videos, group in groupby(stems, lambda each: is_video(each[0])):
        if not of_videos:
            photographs = list(group)
            count = threads or threads_for(len(photographs))
            entries += _photographs(steps, photographs, count, alone=len(files) == 1)
            continue
        film = Film(predictor, outputs, video, coco)
        for file, path in group:
            entries.append(_told(file, partial(film, file, path), alone=len(files) == 1))
    if coco is not None:
        coco.write()
    return entries


def _photographs(
    steps: PhotographSteps, named: Sequence[tuple[Path, Path]], threads: int, *, alone: bool
) -> Iterator[dict[str, Any]]:
    """Predict photographs side by side; what is said of them comes in their order."""
    started, good = time.perf_counter(), 0
    with contextlib.closing(side_by_side(steps, named, threads)) as results:
        for (file, _), result in zip(named, results, strict=True):
            entry = _told(file, result.result, alone=alone)
            good += "error" not in entry
            yield entry
    if good > 1:
        seconds = time.perf_counter() - started
        say(f"{good} photographs in {amount(seconds)} s, {amount(good / seconds)} images/s")


def _told(file: Path, result: Callable[[], dict[str, Any]], *, alone: bool) -> dict[str, Any]:
    """Wait for a file's result and say it; one that cannot be read is left out, but where it is ``alone`` an error."""
    try:
        entry = result()
    except _OF_ONE_FILE as error:
        if alone:
            raise
        return leave_out(file, error)
    say(f"{file} -> {written(entry)} ({_how(entry)})")
    return entry


def _how(entry: Mapping[str, Any]) -> str:
    """In which size, in how many tiles and how fast a file was predicted."""
    height, width = entry["run_size"]
    tiles = "" if entry["tiles"] == 1 else f", {entry['tiles']} tiles"
    return f"at {height} x {width}{tiles}, {amount(entry['images_per_second'])} images/s"
