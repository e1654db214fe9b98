"""``vtadapt demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vtadapt.commands.options import Json, Quiet


def demo(
    out: Annotated[Path, typer.Option(help="Folder that everything is written to.")] = Path("runs/demo"),
    images: Annotated[int, typer.Option(min=16, help="Training images.")] = 640,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over them.")] = 3,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Run the whole job on synthetic rooms, offline: prepare, train, evaluate, draw."""
    from vtadapt.workflows.demo import demo as work
    from vtadapt.workflows.evaluate.tables import measured
    from vtadapt.workflows.terminal.tables import show_result

    result = work(out, images=images, epochs=epochs, quiet=quiet or json_)
    ends = [f"run: {result['run']}", f"done in {result['seconds']} s; pictures:"]
    pictures = [f"  {picture}" for picture in result["pictures"]]
    show_result(result, json_, lambda: [*measured(result), *ends, *pictures])
