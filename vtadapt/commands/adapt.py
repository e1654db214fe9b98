"""``vtadapt adapt``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from vtadapt.commands.options import DataDir, Json, Quiet, RunDir
from vtadapt.errors import UsageError
from vtadapt.workflows.run.methods import listed, those


def adapt(
    source: Annotated[str, typer.Argument(help="Data set whose labels are learned.")],
    target: Annotated[str, typer.Argument(help="Data set that is known by its images alone.")],
    tasks: Annotated[str | None, typer.Option(help="Tasks separated by commas; default: all of the source.")] = None,
    method: Annotated[
        str, typer.Option(help=f"{listed(those(lambda m: m.adapts))}, several separated by commas, or all.")
    ] = "adapters",
    steps: Annotated[int | None, typer.Option(min=1, help="Training steps of every run [default: 1000].")] = None,
    seeds: Annotated[str, typer.Option(help="How many (0, 1, ...), or which, as 0,4,7 or 4,.")] = "1",
    oracle: Annotated[
        bool, typer.Option(help="Also train on the target's labels, to see what they would give.")
    ] = True,
    jobs: Annotated[int, typer.Option(min=1, help="Processes at a time, of one thread each.")] = 1,
    config: Annotated[Path | None, typer.Option(help="YAML file of settings.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images per step, of each data set.")] = None,
    size: Annotated[str | None, typer.Option(help="HEIGHTxWIDTH of the training crops.")] = None,
    accelerator: Annotated[str | None, typer.Option(help="auto, cpu, gpu, mps.")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="Any other setting, KEY=VALUE, or METHOD:KEY=VALUE for one; repeatable."),
    ] = None,
    images: Annotated[int, typer.Option(min=0, help="Of the picture.")] = 2,
    out: Annotated[Path | None, typer.Option(help="Folder [default: RUN_DIR/adapt-SOURCE-TARGET].")] = None,
    data_dir: DataDir = None,
    run_dir: RunDir = None,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Adapt to a data set without labels: source-only, adapted and oracle in one table, adapt.json and a panel.

    The target's labels are read for the final measurement alone. Finished runs are kept: the same command goes on
    where it was interrupted.
    """
    given: dict[str, Any] = {"data": source, "target": target, "tasks": tasks, "steps": steps, "size": size}
    given |= {"batch_size": batch_size, "accelerator": accelerator, "data_dir": data_dir, "run_dir": run_dir}
    from vtadapt.workflows.adapt.adapt import AdaptOptions
    from vtadapt.workflows.adapt.adapt import adapt as work
    from vtadapt.workflows.adapt.tables import adaptation_tables, notes
    from vtadapt.workflows.run.settings import parse_by_method
    from vtadapt.workflows.run.settings.resolve import gather, settings_of, to_check
    from vtadapt.workflows.sweep.show import show_sweep

    common, own = parse_by_method(set_ or [])
    for key in {"data", "target"} & common.keys():
        raise UsageError(f"--set {key}=...: the data sets are the two arguments, SOURCE TARGET; leave it out")
    if "method" in common:
        raise UsageError("--set method=...: what is adapted is named with --method; leave it out")
    found = gather({key: value for key, value in given.items() if value is not None}, config, assigned=common)
    settings = settings_of(found)
    options = AdaptOptions(method, seeds, jobs, own, out, oracle, images, to_check(found, settings))
    result = work(settings, options, quiet=quiet or json_)
    show_sweep(result, json_, "adapt", adaptation_tables, notes)
