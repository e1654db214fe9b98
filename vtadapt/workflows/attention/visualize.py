"""``vtadapt visualize-attention``: where an adapted block looks, by itself and for each task, over a photograph."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from vtadapt.atomic import disk_error
from vtadapt.errors import DataError, UsageError
from vtadapt.models.adapted import AdaptedModel
from vtadapt.viz.panels import save_png
from vtadapt.workflows.attention.hint import finer
from vtadapt.workflows.attention.options import AttentionOptions, check
from vtadapt.workflows.attention.page import show
from vtadapt.workflows.attention.ready import make_ready
from vtadapt.workflows.predict.image import read_image
from vtadapt.workflows.predict.inputs import (
    BrokenImageError,
    check_out,
    find_images,
    is_video,
    leave_out,
    unique_stems,
)
from vtadapt.workflows.run.files import write_arrays
from vtadapt.workflows.run.load import load_run
from vtadapt.workflows.sizing.size import parse_run_size
from vtadapt.workflows.terminal.text import say

__all__ = ["AttentionOptions", "visualize_attention"]


def visualize_attention(
    images: Sequence[Path], run: Path, out: Path, options: AttentionOptions | None = None
) -> list[dict[str, Any]]:
    """Write a panel, NAME_attention.png, and the raw maps for each photograph.

    NAME_attention.npz: "regular" and "taa_TASK" (rows, columns) float32, one number per token that sees the image;
    "pixels_per_token" (height, width) in pixels of the photograph; with a query also "query" (x, y) and the tokens
    within its reach, "reach_regular" and "reach_taa".

    Args:
        images: files, or folders of which all photographs are taken.
        run: a finished run with adapters.
        out: folder of the panels; made if needed.
        options: what is shown.

    Returns:
        For each photograph {"image", "panel", "raw", "size", "run_size", "tokens", "block", "head", "mode", "query",
        "query_from", "on_padding"}; "on_padding" is the share of the attention that fell on padding, map by map. Of
        several files one that cannot be read is told on stderr and stands as {"image", "error"}.

    Raises:
        UsageError: an option that does not fit the run or a photograph, or ``out`` is the folder of one.
        ConfigError: the run has no adapters, or does not load.
        DataError: no photograph found, or the only one cannot be read.
        VtadaptError: not enough memory.
    """
    options = options or AttentionOptions()
    parse_run_size(options.size or "auto", (1, 1), (1, 1))  # what is typed wrong is told before any work
    asked, files = check(options), list(find_images(images))
    check_out(files, out)
    loaded = load_run(run, weights=options.weights)
    ready = make_ready(loaded, options, asked)
    _check_query(asked[1], files)
    with disk_error(out):
        out.mkdir(parents=True, exist_ok=True)
    results, hint = [], ""  # the hint is that of the first photograph that calls for one
    for stem, file in zip(unique_stems(files), files, strict=True):
        try:
            rgb = _read(file)
        except BrokenImageError as error:
            if len(files) == 1:
                raise
            results.append(leave_out(file, error))
            continue
        entry, page, arrays = show(file, rgb, ready)
        results.append(_write(file, out / f"{stem}_attention", page, arrays) | entry)
        if not hint and (hint := finer(cast(AdaptedModel, loaded.model), ready.plan.block, entry)):
            say(f"{file.name}: {hint}")
    return results


def _write(file: Path, place: Path, page: np.ndarray, arrays: dict[str, Any]) -> dict[str, Any]:
    """Write what was drawn of ``file``, and tell where it is; ``place`` is the path less its ending."""
    path, raw = place.with_name(f"{place.name}.png"), place.with_name(f"{place.name}.npz")
    save_png(path, page)
    write_arrays(raw, arrays)
    say(f"{file} -> {path}")
    return {"image": str(file), "panel": str(path), "raw": str(raw)}


def _read(file: Path) -> np.ndarray:
    if is_video(file):
        raise BrokenImageError(f"{file}: a video; wanted photographs, such as single frames of it")
    return read_image(file)


def _check_query(query: tuple[int, int] | str | None, files: Sequence[Path]) -> None:
    """Check the pixel against every photograph before the first is shown; those that cannot be read come later."""
    if not isinstance(query, tuple):
        return
    x, y = query
    for file in files:
        try:
            h, w = _read(file).shape[:2]
        except DataError:
            continue
        if not (0 <= x < w and 0 <= y < h):
            raise UsageError(
                f"query {x},{y} is outside {file.name}, which is {w} x {h}; "
                f"wanted X from 0 to {w - 1} and Y from 0 to {h - 1}"
            )
