"""``vtadapt settings``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vtadapt.commands.options import Json
from vtadapt.workflows.run.methods import METHODS, listed


def settings(
    name: Annotated[str | None, typer.Argument(metavar="[GROUP|KEY]", help="A group, or one setting.")] = None,
    method: Annotated[str | None, typer.Option(help=f"Those that it reads: {listed([*METHODS])}.")] = None,
    config: Annotated[Path | None, typer.Option(help="YAML file of settings.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="A setting, KEY=VALUE; repeatable.")] = None,
    json_: Json = False,
) -> None:
    """List the settings of a run by group: meaning, default, value, and where that came from."""
    from vtadapt.workflows.run.settings import parse_assignments
    from vtadapt.workflows.run.settings.listing import list_settings, method_lines
    from vtadapt.workflows.run.settings.resolve import gather
    from vtadapt.workflows.run.settings.tables import setting_lines, setting_tables
    from vtadapt.workflows.terminal.tables import show_result

    flags = {} if method is None else {"method": method}
    found = list_settings(gather(flags, config, assigned=parse_assignments(set_ or [])), name)
    listed_all = [entry.to_dict() for entry in found]
    if len(found) > 1:
        show_result(listed_all, json_, lambda: setting_tables(found))
    else:
        methods = method_lines() if found[0].key == "method" else []
        show_result(listed_all, json_, lambda: [*setting_lines(found[0]), *methods])
