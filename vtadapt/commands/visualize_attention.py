"""``vtadapt visualize-attention``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vtadapt.commands.options import RUNS, Json, RunDir, RunWeights, importing, let_waiting_threads_sleep


def visualize_attention(
    images: Annotated[list[Path], typer.Argument(help="Photographs, or folders of them.")],
    run: Annotated[str | None, typer.Option(help="A run: its path or name; default: the newest.")] = None,
    tasks: Annotated[str | None, typer.Option(help="Only these tasks, separated by commas.")] = None,
    block: Annotated[
        int | None, typer.Option(help="Adapted block: 0 the first, -1 the last; default: the last with the finest map.")
    ] = None,
    head: Annotated[str, typer.Option(help="mean, or the number of one head.")] = "mean",
    query: Annotated[str | None, typer.Option(help="X,Y in pixels of the image, or auto.")] = None,
    mode: Annotated[
        str | None,
        typer.Option(help="received, query or rollout-windows [default: query with --query, else received]."),
    ] = None,
    alpha: Annotated[float, typer.Option(help="Share of the colours over the photograph, 0 to 1.")] = 0.6,
    size: Annotated[
        str | None,
        typer.Option(help="auto, native or HEIGHTxWIDTH; default: 24 tokens or more on the short side of the map."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of the panels and raw maps.")] = Path("attention"),
    weights: RunWeights = None,
    run_dir: RunDir = None,
    json_: Json = False,
) -> None:
    """Draw where an adapted block looks: regular self-attention beside each task's; writes panels and raw maps."""
    let_waiting_threads_sleep()
    with importing():
        from vtadapt.workflows.attention.visualize import AttentionOptions
        from vtadapt.workflows.attention.visualize import visualize_attention as work
        from vtadapt.workflows.predict.inputs import failure_of
        from vtadapt.workflows.predict.tables import show_pictures
        from vtadapt.workflows.run.folder import find_run
        from vtadapt.workflows.run.launcher import refuse_more_than
        from vtadapt.workflows.run.settings import parse_list

    refuse_more_than(1)
    chosen = AttentionOptions(parse_list(tasks), block, head, query, mode, alpha, size, weights)
    results = work(images, find_run(run, run_dir or RUNS), out, chosen)
    show_pictures(results, json_)
    if failure := failure_of(results):
        raise failure
