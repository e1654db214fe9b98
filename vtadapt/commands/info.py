"""``vtadapt info``."""

from __future__ import annotations

from typing import Annotated

import typer

from vtadapt.commands.options import RUNS, Json, Run, RunDir, RunWeights
from vtadapt.errors import UsageError


def info(
    run: Run = None,
    data: Annotated[str | None, typer.Option(help="Describe what 'train DATA' would build, instead of a run.")] = None,
    tasks: Annotated[str | None, typer.Option(help="With --data: tasks, separated by commas.")] = None,
    size: Annotated[str | None, typer.Option(help="HEIGHTxWIDTH that operations are counted at.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="With --data: settings, KEY=VALUE.")] = None,
    weights: RunWeights = None,
    run_dir: RunDir = None,
    json_: Json = False,
) -> None:
    """Count parameters by component, operations and memory."""
    from vtadapt.workflows import info as workflow
    from vtadapt.workflows.run.folder import find_run
    from vtadapt.workflows.run.settings import parse_assignments, parse_size, resolve
    from vtadapt.workflows.terminal.tables import show_result

    wanted = parse_size(size)
    if data is not None:
        typed = {"data": data} if tasks is None else {"data": data, "tasks": tasks}
        settings = resolve(typed, None, assigned=parse_assignments(set_ or []))
        result = workflow.info_of_settings(settings, wanted)
    elif tasks is not None or set_:
        raise UsageError("--tasks and --set describe a model to be; add --data NAME, or leave them out")
    else:
        result = workflow.info_of_run(find_run(run, run_dir or RUNS), wanted, weights)
    show_result(result, json_, lambda: workflow.info_tables(result))
