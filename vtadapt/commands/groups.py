"""Options that always come together: a dataclass, one parameter of a command's function, several of its options."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from vtadapt.commands.options import RUNS, DataDir, Json, Quiet, RunDir
from vtadapt.errors import UsageError

if TYPE_CHECKING:
    from vtadapt.workflows.run.settings import TrainSettings


def unfolded(command: Callable[..., Any]) -> Callable[..., Any]:
    """``command`` as Typer takes it: a parameter whose type is a dataclass becomes the options that are its fields."""
    parameters: list[inspect.Parameter] = []
    groups: dict[str, type] = {}
    for one in inspect.signature(command, eval_str=True).parameters.values():
        if isinstance(one.annotation, type) and is_dataclass(one.annotation):
            groups[one.name] = one.annotation
            hints = get_type_hints(one.annotation, include_extras=True)
            inner = inspect.signature(one.annotation).parameters.values()
            parameters += [part.replace(annotation=hints[part.name]) for part in inner]
        else:
            parameters.append(one)

    @functools.wraps(command)
    def folded(**given: Any) -> Any:
        made = {name: kind(**{f.name: given.pop(f.name) for f in fields(kind)}) for name, kind in groups.items()}
        return command(**given, **made)

    # Typer asks for both: the signature gives the defaults, the annotations the types.
    folded.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    folded.__annotations__ = {one.name: one.annotation for one in parameters}
    return folded


def refuse_typed(context: typer.Context, option: str, read: Collection[str], instead: str) -> None:
    """Refuse what was typed beside an ``option`` with which nothing but the parameters ``read`` is looked at.

    What was typed and not what differs from a default: ``--batches 32`` says something even where 32 is the default.

    Raises:
        UsageError: names what is not read, and what to do ``instead``.
    """
    sources = {
        p.opts[0]: context.get_parameter_source(str(p.name)) for p in context.command.params if p.name not in read
    }
    if unread := [name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"]:
        raise UsageError(f"{option} does not read {', '.join(unread)}; {instead}")


@dataclass(frozen=True)
class Common:
    """Where packs and runs are, and what is printed: the last options of every command that trains or measures."""

    data_dir: DataDir = None
    run_dir: RunDir = None
    json_: Json = False
    quiet: Quiet = False

    @property
    def runs(self) -> Path:
        """Folder of the runs."""
        return self.run_dir or RUNS

    @property
    def silent(self) -> bool:
        """Whether no progress is shown: it was said, or the output is for a program."""
        return self.quiet or self.json_


@dataclass(frozen=True)
class Trained:
    """How the runs of a sweep are trained."""

    jobs: Annotated[int, typer.Option(min=1, help="Processes at a time, of one thread each.")] = 1
    tasks: Annotated[str | None, typer.Option(help="Tasks separated by commas; default: all of the data.")] = None
    config: Annotated[Path | None, typer.Option(help="YAML file of settings.")] = None
    batch_size: Annotated[int | None, typer.Option(help="Images per step, of each data set.")] = None
    size: Annotated[str | None, typer.Option(help="HEIGHTxWIDTH of the training crops.")] = None
    accelerator: Annotated[str | None, typer.Option(help="auto, cpu, gpu, mps.")] = None
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="Any other setting, KEY=VALUE, or METHOD:KEY=VALUE for one; repeatable."),
    ] = None

    def settings(self, common: Common, typed: Mapping[str, Any], said: Mapping[str, str]) -> SweepSettings:
        """What was typed, the file and the defaults as one.

        Args:
            common: where packs and runs are.
            typed: settings out of the command's own options; None for those that were not given.
            said: setting -> where the command takes it from, which ``--set`` therefore cannot name.

        Raises:
            UsageError: ``--set`` of one of ``said``.
            ConfigError: a setting that is none, or a value that it cannot have.
        """
        from vtadapt.workflows.run.settings import parse_by_method
        from vtadapt.workflows.run.settings.resolve import gather, settings_of, to_check

        assigned, own = parse_by_method(self.set_ or [])
        for key, where in said.items():
            if key in assigned:
                raise UsageError(f"--set {key}=...: {where}; leave it out")
        own_options = ("tasks", "size", "batch_size", "accelerator")
        given: dict[str, Any] = {**typed, **{key: getattr(self, key) for key in own_options}}
        given |= {"data_dir": common.data_dir, "run_dir": common.run_dir}
        given = {key: value for key, value in given.items() if value is not None}
        found = gather(given, self.config, assigned=assigned)
        settings = settings_of(found)
        return SweepSettings(settings, own, to_check(found, settings))


@dataclass(frozen=True)
class SweepSettings:
    """``common`` to all runs, each method's ``own``, and what is ``checked`` once a run's method is known."""

    common: TrainSettings
    own: dict[str, dict[str, Any]]
    checked: dict[str, str]
