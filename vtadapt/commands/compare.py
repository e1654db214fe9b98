"""The command that trains systems side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vtadapt.commands.groups import Common, Trained
from vtadapt.commands.options import Csv, Latex, Seeds, Weights, table_files
from vtadapt.workflows.run.methods import METHODS


def compare(
    data: Annotated[str, typer.Argument(help="Data set, or several joined with '+'.")],
    methods: Annotated[
        str,
        typer.Option(help=f"all, or some of {', '.join(METHODS)}, by commas; or METHOD:ENCODER, METHOD:KEY=VALUE."),
    ] = "all",
    seeds: Seeds = "3",
    budget: Annotated[str | None, typer.Option(help="steps=N or seconds=N of every run.")] = None,
    backbone: Annotated[str | None, typer.Option(help="One encoder for all; default: each method's own.")] = None,
    weights: Weights = None,
    trained: Trained = Trained(),
    images: Annotated[int, typer.Option(min=0, help="Of the picture, per data set.")] = 2,
    out: Annotated[Path | None, typer.Option(help="Folder [default: RUN_DIR/compare-DATA].")] = None,
    csv: Csv = False,
    latex: Latex = False,
    common: Common = Common(),
) -> None:
    """Train systems side by side with the same budget and seeds: a table, compare.json and a panel.

    Finished runs are kept: the same command goes on where it was interrupted.
    """
    from vtadapt.workflows.compare.compare import CompareOptions
    from vtadapt.workflows.compare.compare import compare as work
    from vtadapt.workflows.compare.tables import comparison_table, notes
    from vtadapt.workflows.sweep.show import show_sweep

    said = {"method": "what is compared is named with --methods"}
    found = trained.settings(common, {"data": data, "backbone": backbone, "weights": weights}, said)
    tables = table_files(csv, latex)
    options = CompareOptions(methods, seeds, budget, trained.jobs, found.own, out, images, found.checked, tables)
    result = work(found.common, options, quiet=common.silent)
    show_sweep(result, common.json_, "compare", lambda r: [comparison_table(r)], notes)
