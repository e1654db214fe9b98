"""``vtadapt train``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vtadapt.commands.groups import Common
from vtadapt.commands.options import Weights
from vtadapt.errors import UsageError
from vtadapt.workflows.run.methods import METHODS, listed

if TYPE_CHECKING:
    from vtadapt.workflows.run.settings import TrainSettings


def train(
    data: Annotated[str | None, typer.Argument(help="Data set, or several joined with '+'.")] = None,
    tasks: Annotated[str | None, typer.Option(help="Tasks separated by commas; default: all of the data.")] = None,
    config: Annotated[Path | None, typer.Option(help="YAML file of settings.")] = None,
    method: Annotated[str | None, typer.Option(help=f"{listed([*METHODS])}; see vtadapt settings method.")] = None,
    backbone: Annotated[
        str | None, typer.Option(help="swin_lite, cnn_lite (bundled), or an encoder of timm by its name.")
    ] = None,
    weights: Weights = None,
    decoder: Annotated[str | None, typer.Option(help="light, swin (the paper's), or aspp.")] = None,
    train_blocks: Annotated[str | None, typer.Option(help="adapters, full or all.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the training images.")] = None,
    steps: Annotated[int | None, typer.Option(help="End after so many steps, also within a pass.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images per step and rank.")] = None,
    lr: Annotated[float | None, typer.Option(help="Peak learning rate.")] = None,
    size: Annotated[str | None, typer.Option(help="HEIGHTxWIDTH of the training crops.")] = None,
    augment_views: Annotated[
        int | None, typer.Option(help="Pictures made of each image; default: another one in every epoch.")
    ] = None,
    cache_features: Annotated[
        str | None, typer.Option(help="off, memory or disk: compute the frozen part of the encoder once a picture.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of initial values, order and augmentation.")] = None,
    precision: Annotated[str | None, typer.Option(help="auto, 32-true, bf16-mixed or 16-mixed.")] = None,
    accelerator: Annotated[str | None, typer.Option(help="auto, cpu, gpu, mps.")] = None,
    devices: Annotated[int | None, typer.Option(help="Devices per node.")] = None,
    num_nodes: Annotated[int | None, typer.Option(help="Nodes.")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="Any other setting, KEY=VALUE; repeatable; vtadapt settings lists them."),
    ] = None,
    resume: Annotated[
        str | None, typer.Option(help="Go on with a run (path or name); with --steps or --epochs, lengthen it.")
    ] = None,
    add_task: Annotated[
        str | None, typer.Option(help="Train this task for a finished run (--from), of which nothing else changes.")
    ] = None,
    from_: Annotated[str | None, typer.Option("--from", help="With --add-task: the run, by path or name.")] = None,
    data_: Annotated[str | None, typer.Option("--data", help="DATA by an option; --add-task: else the run's.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be trained: tasks, parameters, memory, time.")
    ] = False,
    common: Common = Common(),
) -> None:
    """Train adapters, or another system; writes a run folder: settings, metrics, checkpoints, model, pictures."""
    given = {**locals(), "data_dir": common.data_dir, "run_dir": common.run_dir, "data": _one_of(data, data_)}
    left_out = ("common", "dry_run", "data_")
    typed = {key: value for key, value in given.items() if key not in left_out and value not in (None, [])}
    from vtadapt.workflows.evaluate.tables import show_results
    from vtadapt.workflows.run.devices import is_first_rank
    from vtadapt.workflows.run.settings import parse_assignments, resolve
    from vtadapt.workflows.train.train import train as work

    flags = {k: v for k, v in typed.items() if k not in ("config", "set_", "resume", "add_task", "from_")}
    if add_task is not None or from_ is not None:
        _add(flags, typed, dry_run, common)
        return
    if dry_run:
        _say_only(flags, typed, parse_assignments(set_ or []), common)
        return
    if resume is None:
        folder, settings = None, resolve(flags, config, assigned=parse_assignments(set_ or []))
    else:
        folder, settings = _gone_on_with(resume, typed, common)
    longer = folder is not None and (steps or epochs) is not None
    results = work(settings, resume=folder, quiet=common.silent, weights=weights if folder else None, longer=longer)
    if is_first_rank():
        show_results(results, common.json_)


def _one_of(data: str | None, option: str | None) -> str | None:
    """The data set, by the argument or by ``--data``.

    Raises:
        UsageError: by both.
    """
    if data is not None and option is not None:
        raise UsageError(f"the data set is named twice, {data!r} and --data {option!r}; keep one of them")
    return option if data is None else data


def _add(flags: Mapping[str, Any], typed: Mapping[str, Any], dry_run: bool, common: Common) -> None:
    """Train a task for a finished run, and print how good it is.

    Raises:
        UsageError: one of ``--add-task`` and ``--from`` alone, or beside what makes another run.
    """
    from vtadapt.workflows.evaluate.tables import show_results
    from vtadapt.workflows.run.devices import is_first_rank
    from vtadapt.workflows.run.folder import find_run
    from vtadapt.workflows.run.settings import parse_assignments
    from vtadapt.workflows.run.settings.resolve import gather
    from vtadapt.workflows.train.add_task import add_task
    from vtadapt.workflows.train.adding import adding_settings, need_addable

    task, name = typed.get("add_task"), typed.get("from_")
    if task is None or name is None:
        raise UsageError("--add-task TASK and --from RUN go together: the task to be added, and the run that gets it")
    if "resume" in typed or dry_run:
        other = "--resume" if "resume" in typed else "--dry-run"
        raise UsageError(f"{other} is about a run of its own; leave it out beside --add-task")
    run = find_run(name, common.runs)
    need_addable(run, task)
    given = gather(flags, typed.get("config"), assigned=parse_assignments(typed.get("set_", [])))
    settings = adding_settings(run, given)
    results = add_task(run, task, settings, quiet=common.silent, weights=typed.get("weights"))
    if is_first_rank():
        show_results(results, common.json_)


def _gone_on_with(run: str, typed: Mapping[str, Any], common: Common) -> tuple[Path, TrainSettings]:
    """The folder and the settings of an interrupted run.

    Raises:
        UsageError: settings are typed beside it.
        ConfigError: there is no such run.
    """
    from vtadapt.workflows.run.files import SETTINGS
    from vtadapt.workflows.run.folder import find_unfinished
    from vtadapt.workflows.run.settings import load
    from vtadapt.workflows.train.lengthen import lengthened

    longer = {key: typed[key] for key in ("steps", "epochs") if key in typed}
    if others := [key for key in typed if key not in ("resume", "weights", "data_dir", "run_dir", *longer)]:
        named = ", ".join(others).replace("set_", "--set")
        raise UsageError(f"--resume goes on with the run's own settings; found {named} beside it, leave that out")
    folder = find_unfinished(run, common.runs)
    settings = load(folder / SETTINGS)
    if longer:
        settings = lengthened(folder, settings, longer.get("steps"), longer.get("epochs"))
    return folder, settings if common.data_dir is None else settings.model_copy(update={"data_dir": common.data_dir})


def _say_only(flags: Mapping[str, Any], typed: Mapping[str, Any], assigned: Mapping[str, Any], common: Common) -> None:
    """Print what would be trained.

    Raises:
        UsageError: beside ``--resume``.
    """
    from vtadapt.workflows.run.settings import resolve
    from vtadapt.workflows.terminal.tables import show_result
    from vtadapt.workflows.train.dry_run import dry_run as work
    from vtadapt.workflows.train.dry_run import dry_run_tables

    if "resume" in typed:
        raise UsageError("--dry-run says what a new run would be; leave --resume out")
    found = work(resolve(flags, typed.get("config"), assigned=assigned))
    show_result(found, common.json_, lambda: dry_run_tables(found))
