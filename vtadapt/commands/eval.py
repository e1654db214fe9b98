"""``vtadapt eval``."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from vtadapt.commands.options import RUNS, Csv, DataDir, Json, Latex, Run, RunDir, RunWeights, table_files


def eval_(
    run: Run = None,
    data: Annotated[
        str | None,
        typer.Option(help="Other data sets than the run's own; means are over the classes that both have."),
    ] = None,
    split: Annotated[str, typer.Option(help="train, val or test.")] = "val",
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many images, evenly spaced.")] = None,
    size: Annotated[str, typer.Option(help="To work at: native (as stored), auto or HEIGHTxWIDTH.")] = "native",
    tile: Annotated[str, typer.Option(help="In tiles that overlap: none, auto, N or HEIGHTxWIDTH.")] = "none",
    accelerator: Annotated[str | None, typer.Option(help="auto, cpu, gpu, mps [default: the run's].")] = None,
    weights: RunWeights = None,
    data_dir: DataDir = None,
    run_dir: RunDir = None,
    csv: Csv = False,
    latex: Latex = False,
    confusion: Annotated[
        bool, typer.Option("--confusion", help="Write confusion matrices of classes as CSV and PNG, too.")
    ] = False,
    json_: Json = False,
) -> None:
    """Measure a run on a split and draw its predictions beside the truth."""
    from vtadapt.workflows.evaluate.evaluate import EvalOptions, evaluate_run
    from vtadapt.workflows.evaluate.tables import show_results
    from vtadapt.workflows.run.folder import find_run

    folder = run_dir or RUNS
    found = find_run(run, folder)
    more: Any = {"weights": weights, "tables": table_files(csv, latex), "confusion": confusion}
    options = EvalOptions(data, split, data_dir, limit, size, tile, accelerator, folder, **more)
    show_results(evaluate_run(found, options), json_)
