"""``vtadapt predict``: a run's predictions for any photographs and videos, as panels and, on request, raw arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from vtadapt.workflows.predict.photograph import predict_photograph
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
    binary: bool = False,
    device: str = "cpu",
    video: VideoOptions | None = None,
    weights: str | None = None,
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
        weights: where those of the run's backbone are, see :func:`vtadapt.workflows.run.load.load_run`.

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
    files = list(find_images(images, (*PHOTOGRAPHS, *VIDEOS)))
    check_out(files, out)
    if raw and any(map(is_video, files)):
        warn("--raw is for photographs; of a video only the panels are written")
    loaded = load_run(run, device, weights=weights)
    predictor = Predictor(loaded.deciding() if binary else loaded, sizing, device)
    with disk_error(out):
        out.mkdir(parents=True, exist_ok=True)
    return [
        _predict(predictor, file, out / name, raw, video or VideoOptions(), alone=len(files) == 1)
        for name, file in zip(unique_stems(files), files, strict=True)
    ]


def _predict(
    predictor: Predictor, file: Path, out: Path, raw: bool, video: VideoOptions, *, alone: bool
) -> dict[str, Any]:
    """Predict one file; one that cannot be read is an error where it is ``alone``, else it is left out."""
    try:
        if is_video(file):
            entry = predict_video(predictor, file, out.with_name(f"{out.name}_panel"), video)
        else:
            entry = predict_photograph(predictor, file, out, raw)
    except _UNREADABLE as error:
        if alone:
            raise
        return leave_out(file, error)
    say(f"{file} -> {entry['panel']} ({_how(entry)})")
    return entry


def _how(entry: Mapping[str, Any]) -> str:
    """In which size, in how many tiles and how fast a file was predicted."""
    height, width = entry["run_size"]
    tiles = "" if entry["tiles"] == 1 else f", {entry['tiles']} tiles"
    return f"at {height} x {width}{tiles}, {amount(entry['images_per_second'])} images/s"
