"""Options and defaults that several commands share."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

RUNS, DATA = Path("runs"), Path("data")

DataDir = Annotated[Path | None, typer.Option(help="Folder of the packs [default: data].", envvar="VTADAPT_DATA_DIR")]
RunDir = Annotated[Path | None, typer.Option(help="Folder of the runs [default: runs].", envvar="VTADAPT_RUN_DIR")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout, nothing else.")]
Csv = Annotated[bool, typer.Option("--csv", help="Write the numbers as CSV, too; alone it is printed.")]
Latex = Annotated[bool, typer.Option("--latex", help="Write the table as LaTeX, too; alone it is printed.")]
FollowLinks = Annotated[
    bool, typer.Option("--follow-links", help="Read what links in the folder lead to outside of it, too.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr.")]
Run = Annotated[str | None, typer.Argument(help="A run: its path or name; default: the newest, else the bundled demo.")]
Seeds = Annotated[str, typer.Option(help="How many (0, 1, ...), or which, as 0,4,7 or 4,.")]
Weights = Annotated[str | None, typer.Option(help="auto, random, timm (downloads), or a file.")]

RunWeights = Annotated[
    str | None,
    typer.Option(
        "--weights", help="The run's backbone, where it is not found: a file, timm or hf-hub:ORG/NAME (download)."
    ),
]


@contextmanager
def importing() -> Iterator[None]:
    """Look for no garbage while modules are imported: their many objects stay, and searching them takes 0.4 s."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def let_waiting_threads_sleep() -> None:
    """Before torch is imported: its threads sleep while they wait, instead of asking again and again for milliseconds.

    Where others have work for the same cores, such as threads that draw or another program, that multiplied the time of
    a prediction. What is computed stays the same; a setting of the user's stays, too.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def table_files(csv: bool, latex: bool) -> tuple[str, ...]:
    """The files of tables that were asked for, see :mod:`vtadapt.workflows.terminal.exported`."""
    return (*(["csv"] if csv else []), *(["latex"] if latex else []))
