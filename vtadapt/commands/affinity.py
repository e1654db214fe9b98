"""``vtadapt affinity``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vtadapt.commands.groups import Common, refuse_typed
from vtadapt.commands.options import Run, RunWeights

READ_WITH_SCARCE = ("run", "scarce", "data_dir", "run_dir", "json_", "quiet")


def affinity(
    context: typer.Context,
    run: Run = None,
    plot: Annotated[bool, typer.Option("--plot", help="Draw heat maps.")] = False,
    measure: Annotated[
        str,
        typer.Option(help="troa, cosine, lookahead, permuted; learned: in training; auto: troa if the data is there."),
    ] = "auto",
    batches: Annotated[int, typer.Option(min=2, help="Batches to average over.")] = 32,
    batch_size: Annotated[int, typer.Option(min=1, help="Images per batch.")] = 8,
    per_block: Annotated[bool, typer.Option("--per-block", help="Also for each adapted block.")] = False,
    scarce: Annotated[
        list[str] | None,
        typer.Option(help="TASK=N: which labels would help TASK if N images of it were labelled; repeatable."),
    ] = None,
    groups: Annotated[int | None, typer.Option(help="Group the tasks for at most so many networks.")] = None,
    data: Annotated[str | None, typer.Option(help="Other data sets than the run's own.")] = None,
    split: Annotated[str, typer.Option(help="train, val or test.")] = "train",
    lr: Annotated[float | None, typer.Option(min=0, help="Step of the look-ahead [default: the run's].")] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Of the choice of images.")] = 0,
    devices: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
    accelerator: Annotated[str | None, typer.Option(help="auto, cpu, gpu, mps [default: the run's].")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the files [default: RUN/affinity/MEASURE].")] = None,
    weights: RunWeights = None,
    common: Common = Common(),
) -> None:
    """Measure how much each task helps each other one: a table, affinity.json and .npz, and heat maps."""
    from vtadapt.workflows.affinity.measure import AffinityOptions
    from vtadapt.workflows.affinity.run_affinity import run_affinity
    from vtadapt.workflows.affinity.tables import show_affinity
    from vtadapt.workflows.run.folder import find_run

    if scarce:
        from vtadapt.workflows.gain.of_run import scarce_in_run
        from vtadapt.workflows.gain.tables import show_gains

        refuse_typed(context, "--scarce", READ_WITH_SCARCE, "leave it out, or see vtadapt affinity-gain")
        found = scarce_in_run(find_run(run, common.runs), scarce, common.data_dir, common.silent, common.runs)
        show_gains(found, common.json_)
        return
    chosen = AffinityOptions(
        measure,
        data,
        split,
        batches,
        batch_size,
        per_block,
        groups,
        lr,
        seed,
        common.data_dir,
        devices,
        accelerator,
        weights,
    )
    run_dir, quiet = common.runs, common.silent
    result = run_affinity(find_run(run, run_dir), chosen, out=out, plot=plot, quiet=quiet, folder=run_dir)
    if result is not None:
        show_affinity(result, common.json_)
