"""``vtadapt push``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vtadapt.commands.options import RUNS, Json, RunDir, RunWeights


def push(
    run: Annotated[str, typer.Argument(help="A finished run: its path or name.")],
    repository: Annotated[str, typer.Argument(help="OWNER/NAME on the Hugging Face Hub; made where it is not there.")],
    private: Annotated[bool, typer.Option("--private", help="Where it is made now, for you alone.")] = False,
    licence: Annotated[str | None, typer.Option(help="Of what was trained, such as apache-2.0.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the files to this folder, and upload nothing.")] = None,
    weights: RunWeights = None,
    run_dir: RunDir = None,
    json_: Json = False,
) -> None:
    """Upload a run to the Hugging Face Hub with a model card: what is trained, settings, results; safetensors alone."""
    from vtadapt.workflows.hub.push import push as work
    from vtadapt.workflows.run.folder import find_run
    from vtadapt.workflows.terminal.tables import show_result

    found = find_run(run, run_dir or RUNS)
    result = work(found, repository, private=private, licence=licence, out=out, weights=weights)
    place = result["url"] or result["folder"]
    lines = [f"{name}  {size:,} bytes" for name, size in result["files"].items()]
    show_result(result, json_, lambda: [*lines, str(place)])
