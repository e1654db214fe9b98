"""The command line: its commands, and what becomes of errors."""

from __future__ import annotations

import functools
import os
import sys
import traceback
from collections.abc import Callable
from typing import Annotated, Any

import typer

from vtadapt.commands import find_commands
from vtadapt.commands.groups import unfolded
from vtadapt.errors import DataError, quoted
from vtadapt.version import __version__
from vtadapt.workflows.terminal.failures import explained, quiet_threads
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
            if _rank() == "0":  # of several processes one speaks for all
                say(f"vtadapt: {told(end)}")
            raise typer.Exit(getattr(end, "exit_code", 130)) from end

    return guarded


for _name, _function in find_commands().items():
    app.command(_name)(_guarded(unfolded(_function)))


def _debug() -> bool:
    return DEBUG in sys.argv[1:] or bool(os.environ.get("VTADAPT_DEBUG"))


def _rank() -> str:
    """Number of this process among those of its run on this machine."""
    return os.environ.get("LOCAL_RANK", "0")


def main() -> None:
    """Run the command line; expected errors are one line on stderr and an exit code."""
    with guarded_streams(), ended_by_signals(), quiet_threads():
        try:
            app([argument for argument in sys.argv[1:] if argument != DEBUG], prog_name="vtadapt")
        except Exception as error:
            known = explained(error)
            # Of a file or a folder that nobody thought could not be looked at.
            if known is None and isinstance(error, OSError) and error.filename is not None:
                name = os.fsdecode(error.filename) if isinstance(error.filename, bytes) else str(error.filename)
                known = DataError(f"{quoted(name)}: {error.strerror or error}; name another, or look at its rights")
            if known is None:
                raise
            if _debug():
                traceback.print_exc()
            where = "" if _rank() == "0" else f" in process {_rank()}"  # each says what went wrong in it
            say(f"vtadapt: error{where}: {' '.join(str(known).split())}")
            sys.exit(known.exit_code)
