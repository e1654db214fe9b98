"""``vtadapt zero-shot``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from vtadapt.commands.groups import Common
from vtadapt.commands.options import RunWeights
from vtadapt.workflows.run.methods import listed, those


def zero_shot(
    target: Annotated[str, typer.Argument(help="Data set that lacks labels of the task.")],
    task: Annotated[str, typer.Option(help="The task; the run was trained with it elsewhere.")],
    from_: Annotated[
        str | None,
        typer.Option("--from", help="A run, or one run per seed separated by commas; default: the newest, else demo."),
    ] = None,
    labels: Annotated[
        str | None, typer.Option(help="Tasks whose labels are used, separated by commas; default: all others.")
    ] = None,
    method: Annotated[
        str | None, typer.Option(help=f"{listed(those(lambda m: m.transfers))}; must be the run's.")
    ] = None,
    seeds: Annotated[
        str | None, typer.Option(help="How many (0, 1, ...), or which, as 0,4,7 or 4, [default: one per run].")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Training steps on the target.")] = None,
    lr: Annotated[float | None, typer.Option(help="Peak learning rate.")] = None,
    ablations: Annotated[
        str, typer.Option(help="Other matrices A beside the run's: uniform, identity, both with a comma, or ''.")
    ] = "uniform",
    rehearse: Annotated[
        bool, typer.Option("--rehearse", help="Every step also has a batch of the data that the run was trained on.")
    ] = False,
    jobs: Annotated[int, typer.Option(min=1, help="Processes at a time, of one thread each.")] = 1,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="A setting in which training differs from the run's, KEY=VALUE; repeatable."),
    ] = None,
    images: Annotated[int, typer.Option(min=0, help="Of the picture.")] = 4,
    out: Annotated[Path | None, typer.Option(help="Folder [default: RUN_DIR/zero-shot-TARGET-TASK].")] = None,
    weights: RunWeights = None,
    common: Common = Common(),
) -> None:
    """Bring a task to a data set without its labels there, through the labels of other tasks; with what it is worth.

    Trains on the other tasks' labels, on all labels, and with a uniform A, and measures the task by held-out labels.
    Finished trainings are kept: the same command goes on where it was interrupted.
    """
    from vtadapt.workflows.run.folder import find_run
    from vtadapt.workflows.run.settings import parse_assignments, parse_list
    from vtadapt.workflows.run.settings.resolve import check_agree
    from vtadapt.workflows.sweep.show import show_sweep
    from vtadapt.workflows.zero_shot.tables import notes, zero_shot_table
    from vtadapt.workflows.zero_shot.zero_shot import ZeroShotOptions
    from vtadapt.workflows.zero_shot.zero_shot import zero_shot as work

    typed: dict[str, Any] = {k: v for k, v in {"steps": steps, "lr": lr}.items() if v is not None}
    check_agree(typed, assigned := parse_assignments(set_ or []))
    changes = {**assigned, **typed}
    named: Sequence[str | None] = parse_list(from_) or [None]
    sources = [find_run(name, common.runs) for name in named]
    options = ZeroShotOptions(task, labels, method, seeds, ablations, jobs, changes, out, images, rehearse, weights)
    result = work(target, sources, options, data_dir=common.data_dir, run_dir=common.runs, quiet=common.silent)
    show_sweep(result, common.json_, "zero-shot", lambda r: [zero_shot_table(r)], notes)
