"""``vtadapt predict``: a run's predictions for any photographs and videos, as panels and, on request, raw arrays."""

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
from vtadapt.errors import UsageError
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
from vtadapt.workflows.predict.photograph import Outputs, PhotographSteps
from vtadapt.workflows.predict.side_by_side import side_by_side, threads_for
from vtadapt.workflows.predict.tables import written
from vtadapt.workflows.predict.video import VideoOptions, predict_video
from vtadapt.workflows.run.load import load_run
from vtadapt.workflows.sizing.size import Sizing
from vtadapt.workflows.terminal.text import say, warn

_UNREADABLE = (BrokenImageError, BrokenVideoError)  # not a full disk, say, which the next file would meet as well


def predict(
    images: Sequence[Path],
    run: Path,
    out: Path,
    *,
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
    """Write one panel per photograph and one video of panels per video.

    Args:
        images: photographs and videos, or folders of which all are taken.
        run: a finished run.
        out: folder of the panels; made if needed.
        size: that the network works at, see :class:`vtadapt.workflows.sizing.size.Sizing`; predictions are brought back
            to the photograph's own.
        tile: in tiles, see there.
        raw: also write NAME.npz with the decoded predictions (H, W[, C]) of a photograph.
        panel: False: no panel of a photograph is drawn; wants ``raw``.
        binary: make boundaries yes or no at the run's own threshold, where that is known; in NAME.npz 0 and 1.
        device: torch device.
        video: which frames of videos; None for all.
        weights: where those of the run's backbone are, see :func:`vtadapt.workflows.run.load.load_run`.
        threads: that draw and write while the network runs; None for as many as torch has, 1 for no others.

    Returns:
        For each photograph {"image"[, "panel"], "size": [H, W], "run_size": [H, W], "tiles" (1 for the whole)[, "raw"],
        "seconds" (of work on it, less what it waited), "images_per_second" (1 / seconds)}, for each video what
        :func:`vtadapt.workflows.predict.video.predict_video` returns. Of several files one that cannot be read is told
        on stderr and stands as {"image", "error"}; see :func:`failure_of`.

    Raises:
        DataError: no photograph found, or the only file cannot be read.
        UsageError: a size or tile that is none or too small, nothing to write, no such device, or ``out`` is the folder
            of a photograph.
        VtadaptError: not enough memory.
    """
    sizing, outputs = Sizing(size, tile), Outputs(panel, raw)
    files = _files(images, out, outputs)
    loaded = load_run(run, device, weights=weights)
    predictor = Predictor(loaded.deciding() if binary else loaded, sizing, device)
    return _all(predictor, files, out, outputs, video or VideoOptions(), threads)


def _files(images: Sequence[Path], out: Path, outputs: Outputs) -> list[Path]:
    """Find the photographs and videos; what they do not go with is told before any work."""
    files = list(find_images(images, (*PHOTOGRAPHS, *VIDEOS)))
    check_out(files, out)
    video = next(filter(is_video, files), None)
    if video is not None and not outputs.panel:
        raise UsageError(f"--no-panel is for photographs, and {video.name} is a video; leave one of them out")
    if video is not None and outputs.raw:
        warn("--raw is for photographs; of a video only the panels are written")
    return files


def _all(
    predictor: Predictor, files: Sequence[Path], out: Path, outputs: Outputs, video: VideoOptions, threads: int | None
) -> list[dict[str, Any]]:
    """Predict files in their order: photographs that follow one another side by side, videos one by one."""
    with disk_error(out):
        out.mkdir(parents=True, exist_ok=True)
    named = [(file, out / name) for name, file in zip(unique_stems(files), files, strict=True)]
    entries: list[dict[str, Any]] = []
    for of_videos, group in groupby(named, lambda each: is_video(each[0])):
        if not of_videos:
            photographs = list(group)
            count = threads or threads_for(len(photographs))
            entries += _photographs(predictor, photographs, outputs, count, alone=len(files) == 1)
            continue
        for file, path in group:
            work = partial(predict_video, predictor, file, path.with_name(f"{path.name}_panel"), video)
            entries.append(_told(file, work, alone=len(files) == 1))
    return entries


def _photographs(
    predictor: Predictor, named: Sequence[tuple[Path, Path]], outputs: Outputs, threads: int, *, alone: bool
) -> Iterator[dict[str, Any]]:
    """Predict photographs side by side; what is said of them comes in their order."""
    started, good = time.perf_counter(), 0
    with contextlib.closing(side_by_side(PhotographSteps(predictor, outputs), named, threads)) as results:
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
    except _UNREADABLE as error:
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
