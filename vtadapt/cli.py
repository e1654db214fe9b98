"""The command line: one thin function per command; each imports its workflow when it is called."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from vtadapt import __version__
from vtadapt.errors import ConfigError, UsageError, VtadaptError

app = typer.Typer(
    name="vtadapt",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Multitask dense vision from one frozen vision transformer with small trained adapters.",
)

DataDir = Annotated[Path | None, typer.Option(help="Folder of the packs [default: data].")]
RunDir = Annotated[Path | None, typer.Option(help="Folder of the runs [default: runs].")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout, nothing else.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr.")]
Run = Annotated[str | None, typer.Argument(help="A run: its path or name; default: the newest.")]


def _version(value: bool) -> None:
    if value:
        typer.echo(f"vtadapt {__version__}")
        raise typer.Exit


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True)] = False,
) -> None:
    """Options of every command."""
    if debug:
        os.environ["VTADAPT_DEBUG"] = "1"


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
        bool, typer.Option(help="Leave broken samples out and list them, instead of stopping.")
    ] = False,
    force: Annotated[bool, typer.Option(help="Prepare again even if the pack is there.")] = False,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Convert a data set to a pack: DATA_DIR/NAME/{train,val,test}.h5 and manifest.json."""
    from vtadapt.data.prepare import PrepareOptions
    from vtadapt.workflows.prepare_data import prepare_data as work

    chosen = PrepareOptions(
        splits=_list(splits),
        size=_size(size) if size not in (None, "native") else size,
        tasks=_list(tasks),
        limit=limit,
        workers=workers,
        skip_broken=skip_broken,
        force=force,
    )
    folder = data_dir or Path("data")
    manifest = work(name, source, folder, chosen, quiet=quiet or json_)
    if json_:
        _print_json(manifest)
        return
    from vtadapt.workflows.tables import manifest_table

    _print_table(manifest_table(manifest))
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
    from vtadapt.workflows.settings import resolve
    from vtadapt.workflows.train import train as work

    flags: dict[str, Any] = {
        "data": data,
        "tasks": tasks,
        "method": method,
        "backbone": backbone,
        "weights": weights,
        "decoder": decoder,
        "train_blocks": train_blocks,
        "epochs": epochs,
        "batch_size": batch_size,
        "lr": lr,
        "size": _size(size),
        "seed": seed,
        "precision": precision,
        "accelerator": accelerator,
        "devices": devices,
        "num_nodes": num_nodes,
        "data_dir": data_dir,
        "run_dir": run_dir,
        **_assignments(set_ or []),
    }
    if resume is None and data is None and config is None:
        raise UsageError("no data set given; type for example: vtadapt train rooms (known: vtadapt data-sets)")
    folder = None if resume is None else _resumable(resume, run_dir or Path("runs"))
    settings = resolve({**flags, "data": data or "resumed"} if folder else flags, config)
    results = work(settings, resume=folder, quiet=quiet or json_)
    _show_results(results, json_)


@app.command("eval")
def eval_(
    run: Run = None,
    data: Annotated[str | None, typer.Option(help="Other data sets than the run's own.")] = None,
    split: Annotated[str, typer.Option(help="train, val or test.")] = "val",
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many images, evenly spaced.")] = None,
    data_dir: DataDir = None,
    run_dir: RunDir = None,
    json_: Json = False,
) -> None:
    """Measure a run on a split and draw its predictions beside the truth."""
    from vtadapt.workflows.eval import evaluate_run
    from vtadapt.workflows.runs import find_run

    folder = find_run(run, run_dir or Path("runs"))
    results = evaluate_run(folder, data=data, split=split, data_dir=data_dir, limit=limit)
    _show_results(results, json_)


@app.command()
def predict(
    images: Annotated[list[Path], typer.Argument(help="Photographs, or folders of them.")],
    run: Annotated[str | None, typer.Option(help="A run: its path or name; default: the newest.")] = None,
    out: Annotated[Path, typer.Option(help="Folder of the panels.")] = Path("predictions"),
    size: Annotated[str, typer.Option(help="auto, native or HEIGHTxWIDTH.")] = "auto",
    raw: Annotated[bool, typer.Option(help="Also write the predictions as NAME.npz.")] = False,
    device: Annotated[str, typer.Option(help="cpu, cuda, ...")] = "cpu",
    run_dir: RunDir = None,
    json_: Json = False,
) -> None:
    """Predict all tasks for photographs of any size; writes one panel each."""
    from vtadapt.workflows.predict import predict as work
    from vtadapt.workflows.runs import find_run

    results = work(images, find_run(run, run_dir or Path("runs")), out, size=size, raw=raw, device=device)
    if json_:
        _print_json(results)
        return
    for entry in results:
        typer.echo(entry["panel"])


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
    from vtadapt.workflows.runs import find_run
    from vtadapt.workflows.settings import resolve

    if data is not None:
        settings = resolve({"data": data, "tasks": tasks, **_assignments(set_ or [])}, None)
        result = workflow.info_of_settings(settings, _size(size))
    else:
        result = workflow.info_of_run(find_run(run, run_dir or Path("runs")), _size(size))
    if json_:
        _print_json(result)
        return
    from vtadapt.workflows.tables import info_tables

    for table in info_tables(result):
        _print_table(table)


@app.command("data-sets")
def data_sets(json_: Json = False) -> None:
    """List the data sets that recipes exist for."""
    from vtadapt.data.recipe import list_recipes, load_recipe

    recipes = [load_recipe(name) for name in list_recipes()]
    if json_:
        _print_json([{"name": r.name, "title": r.title, "licence": r.licence, "tasks": list(r.tasks)} for r in recipes])
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

    result = work(out, images=images, epochs=epochs, quiet=quiet or json_)
    _show_results(result, json_)
    if not json_:
        typer.echo(f"done in {result['seconds']} s; pictures:")
        for picture in result["pictures"]:
            typer.echo(f"  {picture}")


def _show_results(results: dict[str, Any], as_json: bool) -> None:
    if as_json:
        _print_json(results)
        return
    from vtadapt.workflows.tables import metric_tables

    for table in metric_tables(results["metrics"]):
        _print_table(table)
    typer.echo(f"run: {results['run']}")


def _print_json(content: Any) -> None:
    typer.echo(json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False))


def _print_table(table: Any) -> None:
    from rich.console import Console

    Console(file=sys.stdout).print(table)


def _list(text: str | None) -> list[str] | None:
    return None if text is None else [part.strip() for part in text.split(",") if part.strip()]


def _size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    try:
        height, width = (int(part) for part in text.lower().split("x"))
    except ValueError as error:
        raise UsageError(f"size {text!r}; wanted HEIGHTxWIDTH such as 240x320") from error
    if min(height, width) < 1:
        raise UsageError(f"size {text!r}; both sides must be positive")
    return height, width


def _assignments(pairs: list[str]) -> dict[str, Any]:
    import yaml

    values: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise UsageError(f"--set {pair!r}; wanted KEY=VALUE, for example --set decoder_width=64")
        values[key.strip()] = yaml.safe_load(value)
    return values


def _resumable(run: str, folder: Path) -> Path:
    from vtadapt.workflows.runs import SETTINGS

    for path in (Path(run), folder / run):
        if (path / SETTINGS).is_file():
            return path
    raise ConfigError(
        f"no run to resume at {run!r} or in {os.fspath(folder)!r} (wanted its {SETTINGS}); see what is there"
    )


def main() -> None:
    """Run the command line; expected errors are one line on stderr and an exit code."""
    try:
        app()
    except VtadaptError as error:
        if os.environ.get("VTADAPT_DEBUG"):
            raise
        print(f"vtadapt: error: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("vtadapt: interrupted", file=sys.stderr)
        sys.exit(130)
