"""``vtadapt report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vtadapt.commands.groups import Common
from vtadapt.commands.options import Run, RunWeights


def report(
    run: Run = None,
    out: Annotated[Path | None, typer.Option(help="The .html file [default: RUN/report.html].")] = None,
    images: Annotated[int, typer.Option(min=0, help="Images scored per data set; 0: no pictures.")] = 100,
    split: Annotated[str, typer.Option(help="That images are taken from: train, val or test.")] = "val",
    accelerator: Annotated[str | None, typer.Option(help="auto, cpu, gpu, mps [default: the run's].")] = None,
    weights: RunWeights = None,
    common: Common = Common(),
) -> None:
    """Write one self-contained HTML page on a run: settings, metrics, curves, affinities, pictures."""
    from vtadapt.workflows.report.report import ReportOptions
    from vtadapt.workflows.report.report import report as work
    from vtadapt.workflows.run.folder import find_run
    from vtadapt.workflows.terminal.tables import show_result

    chosen = ReportOptions(split, images, common.data_dir, accelerator, weights)
    document = work(find_run(run, common.runs), out, chosen, folder=common.runs, quiet=common.silent)
    show_result(document, common.json_, lambda: [document["files"]["html"]])
