"""``vtadapt recipe``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vtadapt.commands.options import FollowLinks, Json


def recipe(
    folder: Annotated[Path, typer.Argument(help="Folder with pictures and their labels, of any layout.")],
    out: Annotated[Path | None, typer.Option(help="File to write [default: NAME.yaml].")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the data set [default: the folder's].")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it is there.")] = False,
    follow_links: FollowLinks = False,
    json_: Json = False,
) -> None:
    """Look at a folder of your own and write the recipe to start from, with questions as comments."""
    from vtadapt.workflows.prepare.recipe import write_recipe
    from vtadapt.workflows.terminal.tables import show_result

    result = write_recipe(folder, out, name, force=force, follow_links=follow_links)
    counts = ", ".join(f"{split} {count}" for split, count in result["splits"].items())
    lines = [*result["found"], f"samples: {counts or 'none'}", *(f"problem: {line}" for line in result["problems"])]
    lines += [f"recipe: {result['recipe']} (read it and answer its questions)", "next:"]
    show_result(result, json_, lambda: [*lines, *(f"  {command}" for command in result["next"])])
