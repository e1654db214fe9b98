"""Commands that look at runs and data sets: affinities, attention, reports, parameters."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vtadapt.commands.options import RUNS, DataDir, Json, Quiet, Run, RunDir, importing
from vtadapt.errors import DataError, UsageError


def affinity(
    run: Run = None,
    plot: Annotated[bool, typer.Option("--plot", help="Draw heat maps.")] = False,
    measure: Annotated[
        str,
        typer.Option(help="troa, cosine, lookahead, permuted; learned: in training; auto: troa if the data is there."),
    ] = "auto",
    batches: Annotated[int, typer.Option(min=2, help="Batches to average over.")] = 32,
    batch_size: Annotated[int, typer.Option(min=1, help="Images per batch.")] = 8,
    per_block: Annotated[bool, typer.Option("--per-block", help="Also for each adapted block.")] = False,
    groups: Annotated[int | None, typer.Option(help="Group the tasks for at most so many networks.")] = None,
    data: Annotated[str | None, typer.Option(help="Other data sets than the run's own.")] = None,
    split: Annotated[str, typer.Option(help="train, val or test.")] = "train",
    lr: Annotated[float | None, typer.Option(min=0, help="Step of the look-ahead [default: the run's].")] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Of the choice of images.")] = 0,
    devices: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
    accelerator: Annotated[str | None, typer.Option(help="auto, cpu, gpu, mps [default: the run's].")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the files [default: RUN/affinity/MEASURE].")] = None,
    data_dir: DataDir = None,
    run_dir: RunDir = None,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure how much each task helps each other one: a table, affinity.json and .npz, and heat maps."""
    from vtadapt.workflows.affinity.measure import AffinityOptions
    from vtadapt.workflows.affinity.run_affinity import run_affinity
    from vtadapt.workflows.run.folder import find_run
    from vtadapt.workflows.tables import show_affinity

    chosen = AffinityOptions(
        measure, data, split, batches, batch_size, per_block, groups, lr, seed, data_dir, devices, accelerator
    )
    folder = run_dir or RUNS
    result = run_affinity(find_run(run, folder), chosen, out=out, plot=plot, quiet=quiet or json_, folder=folder)
    if result is not None:
        show_affinity(result, json_)


def visualize_attention(
    images: Annotated[list[Path], typer.Argument(help="Photographs, or folders of them.")],
    run: Annotated[str | None, typer.Option(help="A run: its path or name; default: the newest.")] = None,
    tasks: Annotated[str | None, typer.Option(help="Only these tasks, separated by commas.")] = None,
    block: Annotated[int, typer.Option(help="Adapted block: 0 the first, -1 the last.")] = -1,
    head: Annotated[str, typer.Option(help="mean, or the number of one head.")] = "mean",
    query: Annotated[str | None, typer.Option(help="X,Y in pixels of the image, or auto.")] = None,
    mode: Annotated[
        str | None,
        typer.Option(help="received, query or rollout-windows [default: query with --query, else received]."),
    ] = None,
    alpha: Annotated[float, typer.Option(help="Share of the colours over the photograph, 0 to 1.")] = 0.6,
    size: Annotated[str, typer.Option(help="auto, native or HEIGHTxWIDTH.")] = "auto",
    out: Annotated[Path, typer.Option(help="Folder of the panels and raw maps.")] = Path("attention"),
    run_dir: RunDir = None,
    json_: Json = False,
) -> None:
    """Draw where an adapted block looks: regular self-attention beside each task's; writes panels and raw maps."""
    with importing():
        from vtadapt.workflows.attention.visualize import AttentionOptions
        from vtadapt.workflows.attention.visualize import visualize_attention as work
        from vtadapt.workflows.predict.predict import failure_of
        from vtadapt.workflows.run.folder import find_run
        from vtadapt.workflows.run.settings import parse_list
        from vtadapt.workflows.tables import show_pictures

    chosen = AttentionOptions(parse_list(tasks), block, head, query, mode, alpha, size)
    results = work(images, find_run(run, run_dir or RUNS), out, chosen)
    show_pictures(results, json_)
    if failure := failure_of(results):
        raise DataError(failure)


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
    from vtadapt.workflows.tables import print_json

    chosen = ReportOptions(split, images, data_dir, accelerator)
    folder = run_dir or RUNS
    document = work(find_run(run, folder), out, chosen, folder=folder, quiet=quiet or json_)
    if json_:
        print_json(document)
    else:
        typer.echo(document["files"]["html"])


def info(
    run: Run = None,
    data: Annotated[str | None, typer.Option(help="Describe what 'train DATA' would build, instead of a run.")] = None,
    tasks: Annotated[str | None, typer.Option(help="With --data: tasks, separated by commas.")] = None,
    size: Annotated[str | None, typer.Option(help="HEIGHTxWIDTH that operations are counted at.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="With --data: settings, KEY=VALUE.")] = None,
    run_dir: RunDir = None,
    json_: Json = False,
) -> None:
    """Count parameters by component, operations and memory."""
    from vtadapt.workflows import info as workflow
    from vtadapt.workflows import tables
    from vtadapt.workflows.run.folder import find_run
    from vtadapt.workflows.run.settings import parse_assignments, parse_size, resolve

    wanted = parse_size(size)
    if data is not None:
        typed = {"data": data} if tasks is None else {"data": data, "tasks": tasks}
        result = workflow.info_of_settings(resolve({**typed, **parse_assignments(set_ or [])}, None), wanted)
    elif tasks is not None or set_:
        raise UsageError("--tasks and --set describe a model to be; add --data NAME, or leave them out")
    else:
        result = workflow.info_of_run(find_run(run, run_dir or RUNS), wanted)
    if json_:
        tables.print_json(result)
    else:
        tables.print_tables(tables.info_tables(result))
