"""``vtadapt export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vtadapt.commands.options import RUNS, Json, Run, RunDir, RunWeights


def export(
    run: Run = None,
    format_: Annotated[str, typer.Option("--format", help="onnx, torchscript or torch-export.")] = "onnx",
    size: Annotated[str, typer.Option(help="That the network works at: auto (as trained) or HEIGHTxWIDTH.")] = "auto",
    input_: Annotated[str, typer.Option("--input", help="RGB as uint8 (0..255) or float (0..1).")] = "uint8",
    tasks: Annotated[str | None, typer.Option(help="Only these, separated by commas.")] = None,
    out: Annotated[Path | None, typer.Option(help="Path of the file [default: in the run's folder].")] = None,
    weights: RunWeights = None,
    run_dir: RunDir = None,
    json_: Json = False,
) -> None:
    """Write a run as one file that other programs run, from pictures of any size to units, and check it."""
    from vtadapt.workflows.export.export import ExportOptions, export_table
    from vtadapt.workflows.export.export import export as work
    from vtadapt.workflows.run.folder import find_run
    from vtadapt.workflows.terminal.tables import show_result

    chosen = None if tasks is None else [name.strip() for name in tasks.split(",") if name.strip()]
    options = ExportOptions(format_, size, input_, chosen, out, run_dir or RUNS, weights)
    result = work(find_run(run, run_dir or RUNS), options)
    show_result(result, json_, lambda: export_table(result))
