"""``vtadapt explore``."""

from __future__ import annotations

from typing import Annotated

import typer

from vtadapt.commands.options import RUNS, Run, RunDir, RunWeights, importing, let_waiting_threads_sleep


def explore(
    run: Run = None,
    host: Annotated[str, typer.Option(help="Name or address to listen on.")] = ("127.0.0.1"),
    port: Annotated[int, typer.Option(help="Port to listen on; 0 for any that is free.")] = 8642,
    size: Annotated[str, typer.Option(help="That the network works at: auto, native or HEIGHTxWIDTH.")] = "auto",
    weights: RunWeights = None,
    run_dir: RunDir = None,
) -> None:
    """Open a page on this machine: drop a photograph, see all tasks, click where they look; needs vtadapt[web]."""
    let_waiting_threads_sleep()
    with importing():
        from vtadapt.workflows.explore.explore import ExploreOptions, need_web
        from vtadapt.workflows.explore.explore import explore as work
        from vtadapt.workflows.run.folder import find_run

    need_web()  # before anything is looked for
    work(find_run(run, run_dir or RUNS), ExploreOptions(host, port, size, weights), run_dir or RUNS)
