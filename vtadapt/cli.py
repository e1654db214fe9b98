"""The command line: its commands, and what becomes of errors."""

from __future__ import annotations

import os
import sys
import traceback
from typing import Annotated

import typer

from vtadapt import __version__
from vtadapt.commands import find_commands
from vtadapt.errors import VtadaptError, printable

app = typer.Typer(
    name="vtadapt",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # it would take [default: runs] for markup and leave it out
    help="Multitask dense vision from one frozen vision transformer with small trained adapters.",
)

DEBUG = "--debug"


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


for _name, _function in find_commands().items():
    app.command(_name)(_function)


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
        print(f"vtadapt: error{where}: {printable(' '.join(str(error).split()))}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("vtadapt: interrupted", file=sys.stderr)
        sys.exit(130)
