"""``vtadapt pull``."""

from __future__ import annotations

from typing import Annotated

import typer

from vtadapt.commands.options import Json


def pull(
    repository: Annotated[str, typer.Argument(help="OWNER/NAME on the Hugging Face Hub, or OWNER/NAME@REVISION.")],
    json_: Json = False,
) -> None:
    """Download a run from the Hugging Face Hub into its cache; every command then takes OWNER/NAME for a run."""
    from vtadapt.workflows.hub.pull import pull as work
    from vtadapt.workflows.terminal.tables import show_result

    result = work(repository)
    use = f"vtadapt predict photo.jpg --run {repository}"
    use += f" --weights {result['weights']}" if result["weights"] not in ("auto", "random") else ""
    about = f"{', '.join(result['tasks'])}; backbone {result['backbone']}, weights {result['weights']}"
    show_result(result, json_, lambda: [result["folder"], about, f"to use it: {use}"])
