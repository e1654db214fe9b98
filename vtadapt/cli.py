"""The command line: its commands, and what becomes of errors."""

from __future__ import annotations

import functools
import os
import sys
import traceback
from collections.abc import Callable
from typing import Annotated, Any, NoReturn

import typer

from vtadapt.commands import find_commands
from vtadapt.commands.groups import unfolded
from vtadapt.errors import DataError, VtadaptError, quoted
from vtadapt.version import __version__
from vtadapt.workflows.terminal.interrupt import ended_by_signals, told
from vtadapt.workflows.terminal.text import guarded_streams, say, show

app = typer.Typer(
    name="vtadapt",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # it would take [default: runs] for markup and leave it out
    help="Multitask dense vision from one frozen vision transformer with small trained adapters.",
)

DEBUG = "--debug"


def _version(value: bool) -> None:
    if value:
        show(f"vtadapt {__version__}")
        raise typer.Exit


@app.callback()
def options(
    debug: Annotated[bool, typer.Option(DEBUG, help="Show the traceback of an error; may stand anywhere.")] = False,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True)] = False,
) -> None:
    """Options of every command."""
    del debug, version  # main() takes --debug out of the arguments; --version has done its work


def _guarded(command: Callable[..., Any]) -> Callable[..., Any]:
    """``command``, which says how to go on when it is interrupted: click would only say "Aborted!"."""

    @functools.wraps(command)
    def guarded(*args: Any, **options: Any) -> Any:
        try:
            return command(*args, **options)
        except KeyboardInterrupt as end:
            if _debug():
                traceback.print_exc()
            say(f"vtadapt: {told(end)}")
            raise typer.Exit(getattr(end, "exit_code", 130)) from end

    return guarded


for _name, _function in find_commands().items():
    app.command(_name)(_guarded(unfolded(_function)))


def _debug() -> bool:
    return DEBUG in sys.argv[1:] or bool(os.environ.get("VTADAPT_DEBUG"))


def main() -> None:
    """Run the command line; expected errors are one line on stderr and an exit code."""
    with guarded_streams(), ended_by_signals():
        try:
            app([argument for argument in sys.argv[1:] if argument != DEBUG], prog_name="vtadapt")
        except VtadaptError as error:
            _end_with(error)
        except OSError as error:  # of a file or a folder that nobody thought could not be looked at
            if error.filename is None:
                raise
            name = quoted(os.fsdecode(error.filename) if isinstance(error.filename, bytes) else str(error.filename))
            _end_with(DataError(f"{name}: {error.strerror or error}; name another, or look at its rights"))


def _end_with(error: VtadaptError) -> NoReturn:
    """End the process with one line on stderr and the error's exit code."""
    if _debug():
        traceback.print_exc()
    rank = os.environ.get("LOCAL_RANK", "0")  # of several processes each says what went wrong in it
    where = "" if rank == "0" else f" in process {rank}"
    say(f"vtadapt: error{where}: {' '.join(str(error).split())}")
    sys.exit(error.exit_code)
