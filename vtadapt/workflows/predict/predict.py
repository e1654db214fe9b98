"""``vtadapt predict``: a run's predictions for any photographs and videos, as panels and, on request, raw arrays."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from vtadapt.atomic import disk_error
from vtadapt.digits import amount
from vtadapt.errors import DataError, UsageError
from vtadapt.tasks import Task
from vtadapt.viz.panels import Cell, panel, save_png
from vtadapt.workflows.evaluate.evaluate import legends, prediction_cells
from vtadapt.workflows.predict.image import (
    SUFFIXES,
    BrokenImageError,
    network_input,
    plan_of,
    predict_image,
    read_image,
)
from vtadapt.workflows.predict.video import SUFFIXES as VIDEOS
from vtadapt.workflows.predict.video import BrokenVideoError, VideoOptions, is_video, predict_video
from vtadapt.workflows.run.files import write_arrays
from vtadapt.workflows.run.load import Loaded, load_run
from vtadapt.workflows.sizing.size import Plan, Sizing
from vtadapt.workflows.terminal.text import say, warn

__all__ = [
    "SUFFIXES",
    "BrokenImageError",
    "VideoOptions",
    "check_out",
    "failure_of",
    "find_images",
    "leave_out",
    "network_input",
    "predict",
    "predict_image",
    "read_image",
    "unique_stems",
    "write_arrays",
]


_UNREADABLE = (BrokenImageError, BrokenVideoError)  # not a full disk, say, which the next file would meet as well


def predict(
    images: Sequence[Path],
    run: Path,
    out: Path,
    *,
    size: str = "auto",
    tile: str = "auto",
    raw: bool = False,
    binary: bool = False,
    device: str = "cpu",
    video: VideoOptions | None = None,
) -> list[dict[str, Any]]:
    """Write one panel per photograph and one video of panels per video.

    Args:
        images: photographs and videos, or folders of which all are taken.
        run: a finished run.
        out: folder of the panels; made if needed.
        size: "auto" (resized to about as many pixels as the training crops, aspect kept), "native", or "HxW".
            The predictions are brought back to the photograph's own size.
        tile: "auto" (in overlapping tiles where that has more than a million pixels), "none", or their size, "N" or
            "HxW"; see :class:`vtadapt.workflows.sizing.size.Sizing`.
        raw: also write NAME.npz with the decoded predictions (H, W[, C]) of a photograph.
        binary: make boundaries yes or no at the run's own threshold, where that is known; in NAME.npz 0 and 1.
        device: torch device.
        video: which frames of videos; None for all.

    Returns:
        For each photograph {"image", "panel", "size": [H, W], "run_size": [H, W], "tiles" (1 for the whole), "seconds",
        "images_per_second"[, "raw"]}, for each video what :func:`vtadapt.workflows.predict.video.predict_video`
        returns. Of several files one that cannot be read is told on stderr and stands as {"image", "error"}; see
        :func:`failure_of`.

    Raises:
        DataError: no photograph found, or the only file cannot be read.
        UsageError: a size or tile that is none or too small, a device that is not there, or ``out`` is the folder of a
            photograph.
        VtadaptError: not enough memory.
    """
    sizing = Sizing(size, tile)
    files = list(find_images(images, (*SUFFIXES, *VIDEOS)))
    check_out(files, out)
    if raw and any(map(is_video, files)):
        warn("--raw is for photographs; of a video only the panels are written")
    loaded = load_run(run).deciding() if binary else load_run(run)
    _move(loaded, device)
    with disk_error(out):
        out.mkdir(parents=True, exist_ok=True)
    results: list[dict[str, Any]] = []
    for name, file in zip(unique_stems(files), files, strict=True):
        try:
            if is_video(file):
                entry = predict_video(loaded, file, out / f"{name}_panel", sizing, device, video or VideoOptions())
            else:
                entry = _photograph(loaded, file, out / name, sizing, device, raw)
        except _UNREADABLE as error:
            if len(files) == 1:
                raise
            results.append(leave_out(file, error))
            continue
        say(f"{file} -> {entry['panel']} ({_how(entry)})")
        results.append(entry)
    return results


def leave_out(file: Path, error: DataError) -> dict[str, str]:
    """Tell on stderr that a file is left out; returns its {"image", "error"}."""
    reason = " ".join(str(error).split())
    say(f"left out: {reason}")
    return {"image": str(file), "error": reason}


def check_out(files: Sequence[Path], out: Path) -> None:
    """Refuse to write among the photographs, over what bears the same name.

    Raises:
        UsageError: ``out`` is the folder of one of ``files``, under whatever name.
    """
    for folder, file in {file.parent: file for file in files}.items():
        if out.is_dir() and out.samefile(folder):
            raise UsageError(f"--out {out} is the folder of {file.name}; name another, so that nothing there is lost")


def failure_of(results: Sequence[Mapping[str, Any]]) -> str | None:
    """One line on the files that could not be read; None where all could."""
    names = [Path(entry["image"]).name for entry in results if "error" in entry]
    if not names:
        return None
    shown = ", ".join(names[:5]) + (" ..." if len(names) > 5 else "")
    return f"{len(names)} of {len(results)} files could not be read and were left out: {shown}"


def _how(entry: Mapping[str, Any]) -> str:
    """In which size, in how many tiles and how fast a file was predicted."""
    height, width = entry["run_size"]
    tiles = "" if entry["tiles"] == 1 else f", {entry['tiles']} tiles"
    return f"at {height} x {width}{tiles}, {amount(entry['images_per_second'])} images/s"


def _photograph(loaded: Loaded, file: Path, out: Path, sizing: Sizing, device: str, raw: bool) -> dict[str, Any]:
    started = time.perf_counter()
    rgb = read_image(file)
    plan = plan_of(loaded, (rgb.shape[0], rgb.shape[1]), sizing)
    predictions = predict_image(loaded, rgb, sizing, device)
    path = out.with_name(f"{out.name}_panel.png")
    save_png(path, _draw(loaded, rgb, predictions, file.name, plan))
    entry: dict[str, Any] = {"image": str(file), "panel": str(path), "size": list(rgb.shape[:2]), **plan.report}
    if raw:
        entry["raw"] = str(write_arrays(out.with_name(f"{out.name}.npz"), as_arrays(loaded.tasks, predictions)))
    seconds = time.perf_counter() - started
    return entry | {"seconds": round(seconds, 3), "images_per_second": round(1 / seconds, 2)}


def _move(loaded: Loaded, device: str) -> None:
    try:
        loaded.model.to(device)
    except (RuntimeError, AssertionError) as error:  # what torch raises for a device that it lacks or does not know
        reason = str(error).splitlines()[0]
        raise UsageError(f"device {device!r} cannot be used ({reason}); wanted cpu, cuda, cuda:1, mps ...") from error


def find_images(paths: Sequence[Path], suffixes: Sequence[str] = SUFFIXES) -> Iterator[Path]:
    """Yield the photographs meant by files and folders, those of a folder in order of their names.

    Args:
        paths: files of any name, or folders.
        suffixes: what is taken of a folder.

    Raises:
        DataError: nothing there, or a folder without any.
    """
    for path in paths:
        if not path.is_dir():
            if not path.is_file():
                wanted = "photographs or videos" if set(VIDEOS) & set(suffixes) else "photographs"
                raise DataError(f"no image or folder at {os.fspath(path)!r}; wanted {wanted}")
            yield path
            continue
        # Names that begin with a dot are those of files that are being written.
        named = (p for p in path.iterdir() if p.suffix.lower() in suffixes and not p.name.startswith("."))
        found = sorted(p for p in named if p.is_file())
        if not found:
            raise DataError(f"no image in folder {os.fspath(path)!r}; wanted files ending in {', '.join(suffixes)}")
        yield from found


def unique_stems(files: Sequence[Path]) -> list[str]:
    """Names for the outputs: the stem, with a number where it is taken (a.jpg, a.png -> a, a-2)."""
    stems = {file.stem for file in files}
    taken: set[str] = set()
    names = []
    for file in files:
        name, number = file.stem, 1
        while name in taken or (number > 1 and name in stems):
            number += 1
            name = f"{file.stem}-{number}"
        taken.add(name)
        names.append(name)
    return names


def _draw(loaded: Loaded, rgb: np.ndarray, predictions: Mapping[str, Tensor], title: str, plan: Plan) -> np.ndarray:
    tasks = loaded.tasks
    ranges = {name: task.value_range(predictions[name]) for name, task in tasks.items()}
    cells = [
        Cell(rgb, caption="image", note=f"{rgb.shape[1]} x {rgb.shape[0]}"),
        *prediction_cells(tasks, predictions, ranges),
    ]
    footer = f"Run {loaded.path.name} at {plan.words((rgb.shape[0], rgb.shape[1]))}, height x width."
    return panel([cells], title=title, footer=footer, strips=legends(tasks))


def as_arrays(tasks: Mapping[str, Task], predictions: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    """One array per task: (H, W), or (H, W, C) where there are several channels; class ids as they are stored."""
    arrays: dict[str, np.ndarray] = {}
    for name, value in predictions.items():
        array = value.numpy()
        if array.ndim == 3:
            array = array[0] if array.shape[0] == 1 else np.moveaxis(array, 0, -1)
        arrays[name] = tasks[name].behaviour.raw(tasks[name], array)
    return arrays
