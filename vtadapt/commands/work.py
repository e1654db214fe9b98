"""Commands that make something: packs, runs, measurements, predictions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vtadapt.commands.options import RUNS, DataDir, Json, Quiet, Run, RunDir
from vtadapt.errors import DataError, UsageError


def train(
    data: Annotated[str | None, typer.Argument(help="Data set, or several joined with '+'.")] = None,
    tasks: Annotated[str | None, typer.Option(help="Tasks separated by commas; default: all of the data.")] = None,
    config: Annotated[Path | None, typer.Option(help="YAML file of settings.")] = None,
    method: Annotated[
        str | None, typer.Option(help="adapters, linear (a probe), stl, mtl-cnn, consistency, xtam, tawt or mult.")
    ] = None,
    backbone: Annotated[
        str | None, typer.Option(help="swin_pico, resnet_pico (bundled), a Swin or ResNet of timm.")
    ] = None,
    weights: Annotated[str | None, typer.Option(help="auto, random, timm (downloads), or a file.")] = None,
    decoder: Annotated[str | None, typer.Option(help="light, swin (the paper's), or aspp.")] = None,
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
    """Train adapters, or another system; writes a run folder: settings, metrics, checkpoints, model, pictures."""
    typed = {key: value for key, value in locals().items() if value not in (None, []) and value is not False}
    from vtadapt.workflows.run.devices import is_first_rank
    from vtadapt.workflows.run.files import SETTINGS
    from vtadapt.workflows.run.folder import find_unfinished
    from vtadapt.workflows.run.settings import load, parse_assignments, resolve
    from vtadapt.workflows.tables import show_results
    from vtadapt.workflows.train.train import train as work

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


def eval_(
    run: Run = None,
    data: Annotated[
        str | None,
        typer.Option(help="Other data sets than the run's own; means are over the classes that both have."),
    ] = None,
    split: Annotated[str, typer.Option(help="train, val or test.")] = "val",
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many images, evenly spaced.")] = None,
    accelerator: Annotated[str | None, typer.Option(help="auto, cpu, gpu, mps [default: the run's].")] = None,
    data_dir: DataDir = None,
    run_dir: RunDir = None,
    json_: Json = False,
) -> None:
    """Measure a run on a split and draw its predictions beside the truth."""
    from vtadapt.workflows.evaluate.evaluate import evaluate_run
    from vtadapt.workflows.run.folder import find_run
    from vtadapt.workflows.tables import show_results

    folder = run_dir or RUNS
    found = find_run(run, folder)
    results = evaluate_run(
        found, data=data, split=split, data_dir=data_dir, limit=limit, accelerator=accelerator, folder=folder
    )
    show_results(results, json_)


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
    from vtadapt.workflows.predict.predict import VideoOptions, failure_of
    from vtadapt.workflows.predict.predict import predict as work
    from vtadapt.workflows.run.folder import find_run
    from vtadapt.workflows.tables import show_pictures

    chosen = VideoOptions(every, limit)
    results = work(images, find_run(run, run_dir or RUNS), out, size=size, raw=raw, device=device, video=chosen)
    show_pictures(results, json_)
    if failure := failure_of(results):
        raise DataError(failure)


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
