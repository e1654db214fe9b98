"""The command that trains systems side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from vtadapt.commands.options import DataDir, Json, Quiet, RunDir
from vtadapt.errors import UsageError
from vtadapt.workflows.run.methods import METHODS


def compare(
    data: Annotated[str, typer.Argument(help="Data set, or several joined with '+'.")],
    methods: Annotated[
        str,
        typer.Option(help=f"all, or some of {', '.join(METHODS)}, by commas; or METHOD:ENCODER, METHOD:KEY=VALUE."),
    ] = "all",
    seeds: Annotated[str, typer.Option(help="How many (0, 1, ...), or which, as 0,4,7 or 4,.")] = "3",
    budget: Annotated[str | None, typer.Option(help="steps=N or seconds=N of every run.")] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Processes at a time, of one thread each.")] = 1,
    tasks: Annotated[str | None, typer.Option(help="Tasks separated by commas; default: all of the data.")] = None,
    config: Annotated[Path | None, typer.Option(help="YAML file of settings.")] = None,
    backbone: Annotated[str | None, typer.Option(help="One encoder for all; default: each method's own.")] = None,
    weights: Annotated[str | None, typer.Option(help="auto, random, timm (downloads), or a file.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images per step.")] = None,
    size: Annotated[str | None, typer.Option(help="HEIGHTxWIDTH of the training crops.")] = None,
    accelerator: Annotated[str | None, typer.Option(help="auto, cpu, gpu, mps.")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="Any other setting, KEY=VALUE, or METHOD:KEY=VALUE for one; repeatable."),
    ] = None,
    images: Annotated[int, typer.Option(min=0, help="Of the picture, per data set.")] = 2,
    out: Annotated[Path | None, typer.Option(help="Folder [default: RUN_DIR/compare-DATA].")] = None,
    data_dir: DataDir = None,
    run_dir: RunDir = None,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train systems side by side with the same budget and seeds: a table, compare.json and a panel.

    Finished runs are kept: the same command goes on where it was interrupted.
    """
    given: dict[str, Any] = {"data": data, "tasks": tasks, "backbone": backbone, "weights": weights, "size": size}
    given |= {"batch_size": batch_size, "accelerator": accelerator, "data_dir": data_dir, "run_dir": run_dir}
    from vtadapt.workflows.compare.compare import CompareOptions
    from vtadapt.workflows.compare.compare import compare as work
    from vtadapt.workflows.compare.tables import comparison_table, notes
    from vtadapt.workflows.run.settings import parse_by_method
    from vtadapt.workflows.run.settings.resolve import gather, settings_of, to_check
    from vtadapt.workflows.sweep.show import show_sweep

    common, own = parse_by_method(set_ or [])
    if "method" in common:
        raise UsageError("--set method=...: what is compared is named with --methods; leave it out")
    found = gather({key: value for key, value in given.items() if value is not None}, config, assigned=common)
    settings = settings_of(found)
    options = CompareOptions(methods, seeds, budget, jobs, own, out, images, to_check(found, settings))
    result = work(settings, options, quiet=quiet or json_)
    show_sweep(result, json_, "compare", lambda r: [comparison_table(r)], notes)
