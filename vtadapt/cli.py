"""The command line: one thin function per command; each imports its workflow when it is called."""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path
from typing import Annotated

import typer

from vtadapt import __version__
from vtadapt.errors import DataError, UsageError, VtadaptError

app = typer.Typer(
    name="vtadapt",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Multitask dense vision from one frozen vision transformer with small trained adapters.",
)

RUNS, DATA = Path("runs"), Path("data")
DEBUG = "--debug"

DataDir = Annotated[Path | None, typer.Option(help="Folder of the packs [default: data].", envvar="VTADAPT_DATA_DIR")]
RunDir = Annotated[Path | None, typer.Option(help="Folder of the runs [default: runs].", envvar="VTADAPT_RUN_DIR")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout, nothing else.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr.")]
Run = Annotated[str | None, typer.Argument(help="A run: its path or name; default: the newest.")]


def _version(value: bool) -> None:
    if value:
        typer.echo(f"vtadapt {__version__}")
        raise typer.Exit


@app.callback()
def options(
    debug: Annotated[bool, typer.Option(DEBUG, help="Show the traceback of an error; may stand anywhere.")] = False,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True)] = False,
) -> None:
    """Options of every command."""
    del debug, version  # main() takes --debug out of the arguments; --version has done its work


@app.command("prepare-data")
def prepare_data(
    name: Annotated[str, typer.Argument(help="Data set: the name of a recipe, or your own .yaml.")],
    source: Annotated[
        Path | None, typer.Option(help="Folder of the downloaded files; synthetic sets need none.")
    ] = None,
    data_dir: DataDir = None,
    size: Annotated[str | None, typer.Option(help="HEIGHTxWIDTH or native [default: the recipe's].")] = None,
    tasks: Annotated[str | None, typer.Option(help="Only these tasks, separated by commas.")] = None,
    splits: Annotated[str | None, typer.Option(help="Only these splits, separated by commas.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many samples per split.")] = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes that load and derive.")] = 2,
    skip_broken: Annotated[
        bool, typer.Option(help="Leave samples with broken or missing files out and list them.")
    ] = False,
    force: Annotated[bool, typer.Option(help="Prepare again even if the pack is there.")] = False,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Convert a data set to a pack: DATA_DIR/NAME/{train,val,test}.h5 and manifest.json."""
    from vtadapt.data.prepare import PrepareOptions
    from vtadapt.workflows import tables
    from vtadapt.workflows.prepare_data import prepare_data as work
    from vtadapt.workflows.settings import parse_list, parse_size

    chosen = PrepareOptions(
        splits=parse_list(splits),
        size=size if size in (None, "native") else parse_size(size),
        tasks=parse_list(tasks),
        limit=limit,
        workers=workers,
        skip_broken=skip_broken,
        force=force,
    )
    folder = data_dir or DATA
    manifest = work(name, source, folder, chosen, quiet=quiet or json_)
    if json_:
        tables.print_json(manifest)
        return
    tables.print_tables([tables.manifest_table(manifest)])
    typer.echo(f"pack: {folder / manifest['name']}")


@app.command()
def train(
    data: Annotated[str | None, typer.Argument(help="Data set, or several joined with '+'.")] = None,
    tasks: Annotated[str | None, typer.Option(help="Tasks separated by commas; default: all of the data.")] = None,
    config: Annotated[Path | None, typer.Option(help="YAML file of settings.")] = None,
    method: Annotated[str | None, typer.Option(help="adapters, or linear (a probe).")] = None,
    backbone: Annotated[str | None, typer.Option(help="swin_pico (bundled) or a Swin of timm.")] = None,
    weights: Annotated[str | None, typer.Option(help="auto, random, timm (downloads), or a file.")] = None,
    decoder: Annotated[str | None, typer.Option(help="light, or swin (the paper's).")] = None,
    train_blocks: Annotated[str | None, typer.Option(help="adapters, full or all.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the training images.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images per step and rank.")] = None,
    lr: Annotated[float | None, typer.Option(help="Peak learning rate.")] = None,
    size: Annotated[str | None, typer.Option(help="HEIGHTxWIDTH of the training crops.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of initial values, order and augmentation.")] = None,
    precision: Annotated[str | None, typer.Option(help="auto, 32-true, bf16-mixed or 16-mixed.")] = None,
    accelerator: Annotated[str | None, typer.Option(help="auto, cpu, gpu, mps.")] = None,
    devices: Annotated[int | None, typer.Option(help="Devices per node.")] = None,
    num_nodes: Annotated[int | None, typer.Option(help="Nodes.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="Any other setting, KEY=VALUE; repeatable.")] = None,
    resume: Annotated[str | None, typer.Option(help="Go on with an interrupted run (path or name).")] = None,
    data_dir: DataDir = None,
    run_dir: RunDir = None,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train adapters; writes a run folder with settings, metrics, checkpoints, model and pictures."""
    typed = {key: value for key, value in locals().items() if value not in (None, []) and value is not False}
    from vtadapt.workflows.runs import SETTINGS, find_unfinished
    from vtadapt.workflows.session import is_first_rank
    from vtadapt.workflows.settings import load, parse_assignments, resolve
    from vtadapt.workflows.tables import show_results
    from vtadapt.workflows.train import train as work

    flags = {key: value for key, value in typed.items() if key not in ("config", "set_", "resume", "json_", "quiet")}
    if resume is None:
        folder, settings = None, resolve({**flags, **parse_assignments(set_ or [])}, config)
    else:
        if others := [key for key in typed if key not in ("resume", "data_dir", "run_dir", "json_", "quiet")]:
            named = ", ".join(others).replace("set_", "--set")
            raise UsageError(f"--resume goes on with the run's own settings; found {named} beside it, leave that out")
        folder = find_unfinished(resume, run_dir or RUNS)
        settings = load(folder / SETTINGS)
        settings = settings if data_dir is None else settings.model_copy(update={"data_dir": data_dir})
    results = work(settings, resume=folder, quiet=quiet or json_)
    if is_first_rank():
        show_results(results, json_)


@app.command("eval")
def eval_(
    run: Run = None,
    data: Annotated[str | None, typer.Option(help="Other data sets than the run's own.")] = None,
    split: Annotated[str, typer.Option(help="train, val or test.")] = "val",
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many images, evenly spaced.")] = None,
    accelerator: Annotated[str | None, typer.Option(help="auto, cpu, gpu, mps [default: the run's].")] = None,
    data_dir: DataDir = None,
    run_dir: RunDir = None,
    json_: Json = False,
) -> None:
    """Measure a run on a split and draw its predictions beside the truth."""
    from vtadapt.workflows.eval import evaluate_run
    from vtadapt.workflows.runs import find_run
    from vtadapt.workflows.tables import show_results

    folder = find_run(run, run_dir or RUNS)
    results = evaluate_run(folder, data=data, split=split, data_dir=data_dir, limit=limit, accelerator=accelerator)
    show_results(results, json_)


@app.command()
def predict(
    images: Annotated[list[Path], typer.Argument(help="Photographs and videos, or folders of them.")],
    run: Annotated[str | None, typer.Option(help="A run: its path or name; default: the newest.")] = None,
    out: Annotated[Path, typer.Option(help="Folder of the panels.")] = Path("predictions"),
    size: Annotated[str, typer.Option(help="auto, native or HEIGHTxWIDTH.")] = "auto",
    raw: Annotated[bool, typer.Option(help="Also write a photograph's predictions as NAME.npz.")] = False,
    every: Annotated[int, typer.Option(min=1, help="Of a video: every so many-th frame.")] = 1,
    limit: Annotated[int | None, typer.Option(min=1, help="Of a video: at most so many frames.")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, ...")] = "cpu",
    run_dir: RunDir = None,
    json_: Json = False,
) -> None:
    """Predict all tasks for photographs of any size and for videos; writes one panel, or video of panels, each."""
    from vtadapt.workflows.predict import VideoOptions, failure_of
    from vtadapt.workflows.predict import predict as work
    from vtadapt.workflows.runs import find_run
    from vtadapt.workflows.tables import print_json

    chosen = VideoOptions(every, limit)
    results = work(images, find_run(run, run_dir or RUNS), out, size=size, raw=raw, device=device, video=chosen)
    if json_:
        print_json(results)
    else:
        for entry in results:
            if "panel" in entry:
                typer.echo(entry["panel"])
    if failure := failure_of(results):
        raise DataError(failure)


@app.command()
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
    seed: Annotated[int, typer.Option(min=0, help="Of the choice of images.")] = 0,
    devices: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
    accelerator: Annotated[str | None, typer.Option(help="auto, cpu, gpu, mps [default: the run's].")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the files [default: RUN/affinity/MEASURE].")] = None,
    data_dir: DataDir = None,
    run_dir: RunDir = None,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure how much each task helps each other one: a table, affinity.json and .npz, and heat maps."""
    from vtadapt.workflows.affinity import run_affinity
    from vtadapt.workflows.affinity_measure import AffinityOptions
    from vtadapt.workflows.runs import find_run
    from vtadapt.workflows.tables import show_affinity

    chosen = AffinityOptions(
        measure, data, split, batches, batch_size, per_block, groups, lr, seed, data_dir, devices, accelerator
    )
    result = run_affinity(find_run(run, run_dir or RUNS), chosen, out=out, plot=plot, quiet=quiet or json_)
    if result is not None:
        show_affinity(result, json_)


@app.command("visualize-attention")
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
    from vtadapt.workflows.runs import find_run
    from vtadapt.workflows.settings import parse_list
    from vtadapt.workflows.tables import print_json
    from vtadapt.workflows.visualize_attention import AttentionOptions
    from vtadapt.workflows.visualize_attention import visualize_attention as work

    chosen = AttentionOptions(parse_list(tasks), block, head, query, mode, alpha, size)
    results = work(images, find_run(run, run_dir or RUNS), out, chosen)
    if json_:
        print_json(results)
        return
    for entry in results:
        typer.echo(entry["panel"])


@app.command()
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
    from vtadapt.workflows.report import ReportOptions
    from vtadapt.workflows.report import report as work
    from vtadapt.workflows.runs import find_run
    from vtadapt.workflows.tables import print_json

    chosen = ReportOptions(split, images, data_dir, accelerator)
    document = work(find_run(run, run_dir or RUNS), out, chosen, quiet=quiet or json_)
    if json_:
        print_json(document)
    else:
        typer.echo(document["files"]["html"])


@app.command()
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
    from vtadapt.workflows.runs import find_run
    from vtadapt.workflows.settings import parse_assignments, parse_size, resolve

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


@app.command("data-sets")
def data_sets(json_: Json = False) -> None:
    """List the data sets that recipes exist for."""
    from vtadapt.data.recipe import list_recipes, load_recipe
    from vtadapt.workflows.tables import print_json

    recipes = [load_recipe(name) for name in list_recipes()]
    if json_:
        print_json([{"name": r.name, "title": r.title, "licence": r.licence, "tasks": list(r.tasks)} for r in recipes])
        return
    for recipe in recipes:
        typer.echo(f"{recipe.name:<14} {recipe.title} ({', '.join(recipe.tasks)}; {recipe.licence})")


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder that everything is written to.")] = Path("runs/demo"),
    images: Annotated[int, typer.Option(min=16, help="Training images.")] = 640,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over them.")] = 3,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Run the whole job on synthetic rooms, offline: prepare, train, evaluate, draw."""
    from vtadapt.workflows.demo import demo as work
    from vtadapt.workflows.tables import show_results

    result = work(out, images=images, epochs=epochs, quiet=quiet or json_)
    show_results(result, json_)
    if not json_:
        typer.echo(f"done in {result['seconds']} s; pictures:")
        for picture in result["pictures"]:
            typer.echo(f"  {picture}")


def main() -> None:
    """Run the command line; expected errors are one line on stderr and an exit code."""
    arguments = [argument for argument in sys.argv[1:] if argument != DEBUG]
    debug = DEBUG in sys.argv[1:] or bool(os.environ.get("VTADAPT_DEBUG"))
    try:
        app(arguments)
    except VtadaptError as error:
        if debug:
            traceback.print_exc()
        rank = os.environ.get("LOCAL_RANK", "0")  # of several processes each says what went wrong in it
        where = "" if rank == "0" else f" in process {rank}"
        print(f"vtadapt: error{where}: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("vtadapt: interrupted", file=sys.stderr)
        sys.exit(130)
