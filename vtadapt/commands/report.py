"""``vtadapt report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vtadapt.commands.options import RUNS, DataDir, Json, Quiet, Run, RunDir


def report(
    run: Run = None,
    out: Annotated[Path | None, typer.Option(help="The .html file [default: RUN/report.html].")] = None,
    images: Annotated[int, typer.Option(min=0, help="Images scored per data set; 0: no pictures.")] = 100,
    split: Annotated[str, typer.Option(help="That images are taken from: train, val or test.")] = "val",
    accelerator: Annotated[str | None, typer.Option(help="auto, cpu, gpu, mps [default: the run's].")] = None,
    data_dir: DataDir = None,
    run_dir: RunDir = None,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write one self-contained HTML page on a run: settings, metrics, curves, affinities, pictures."""
    from vtadapt.workflows.report.report import ReportOptions
    from vtadapt.workflows.report.report import report as work
    from vtadapt.workflows.run.folder import find_run
    from vtadapt.workflows.terminal.tables import show_result

    chosen = ReportOptions(split, images, data_dir, accelerator)
    folder = run_dir or RUNS
    document = work(find_run(run, folder), out, chosen, folder=folder, quiet=quiet or json_)
    show_result(document, json_, lambda: [document["files"]["html"]])
