"""``vtadapt predict``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from vtadapt.commands.options import RUNS, Json, RunDir, RunWeights, importing, let_waiting_threads_sleep


def predict(
    images: Annotated[
        list[Path],
        typer.Argument(
            help="Photographs and videos, or folders of them; - for a list on stdin; 0 for the first camera."
        ),
    ],
    run: Annotated[str | None, typer.Option(help="A run: its path or name; default: the newest.")] = None,
    out: Annotated[Path, typer.Option(help="Folder of what is written.")] = Path("predictions"),
    format_: Annotated[
        str,
        typer.Option(
            "--format",
            help="Some, by commas, of panel, ids, depth16, normals, edges, npz, json, overlay, coco; or all.",
        ),
    ] = "panel",
    size: Annotated[str, typer.Option(help="auto, native or HEIGHTxWIDTH.")] = "auto",
    tile: Annotated[str, typer.Option(help="In tiles that overlap: auto, none, N or HEIGHTxWIDTH.")] = "auto",
    raw: Annotated[bool, typer.Option(help="Also the format npz: arrays, NAME.npz.")] = False,
    panel: Annotated[bool, typer.Option("--panel/--no-panel", help="Whether panels are drawn.")] = True,
    binary: Annotated[
        bool, typer.Option("--binary", help="Edges as yes or no, at the threshold that was best in training.")
    ] = False,
    every: Annotated[int, typer.Option(min=1, help="Of a video: every so many-th frame.")] = 1,
    limit: Annotated[int | None, typer.Option(min=1, help="Of a video: at most so many frames.")] = None,
    smooth: Annotated[
        float, typer.Option(help="Of a video: weight of the past in what is predicted, 0 to below 1, such as 0.8.")
    ] = 0.0,
    device: Annotated[str, typer.Option(help="cpu, cuda, ...")] = "cpu",
    weights: RunWeights = None,
    run_dir: RunDir = None,
    json_: Json = False,
) -> None:
    """Predict all tasks for photographs of any size and for videos; writes panels, or files for other programs."""
    let_waiting_threads_sleep()
    with importing():
        from vtadapt.workflows.predict.inputs import failure_of
        from vtadapt.workflows.predict.outputs.formats import parse_formats
        from vtadapt.workflows.predict.predict import predict as work
        from vtadapt.workflows.predict.tables import show_pictures
        from vtadapt.workflows.predict.video.frames import VideoOptions
        from vtadapt.workflows.run.folder import find_run
        from vtadapt.workflows.run.launcher import refuse_more_than

    refuse_more_than(1)
    chosen = VideoOptions(every, limit, smooth)
    parse_formats(format_)  # before a run is looked for, of which something is said
    found = find_run(run, run_dir or RUNS)
    shown: Any = {"formats": format_, "size": size, "tile": tile, "raw": raw, "panel": panel, "binary": binary}
    results = work(images, found, out, **shown, device=device, video=chosen, weights=weights)
    show_pictures(results, json_)
    if failure := failure_of(results):
        raise failure
