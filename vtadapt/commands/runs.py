"""``vtadapt runs``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from vtadapt.commands.options import RUNS, Json, RunDir
from vtadapt.errors import UsageError


def runs(
    names: Annotated[list[str] | None, typer.Argument(help="Runs, by path or name; default: all.")] = None,
    compare: Annotated[
        bool, typer.Option("--compare", help="Side by side: settings that differ, and results.")
    ] = False,
    remove: Annotated[bool, typer.Option("--remove", help="Remove the runs that are named, after asking.")] = False,
    remove_task: Annotated[
        str | None, typer.Option(help="Remove a task that was added (train --add-task) from the run, after asking.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="With --remove and --remove-task: do not ask.")] = False,
    run_dir: RunDir = None,
    json_: Json = False,
) -> None:
    """List runs: data, steps, results, state, age and size; compare some, or remove them."""
    from vtadapt.workflows.runs.survey import chosen_runs, describe_run, list_runs
    from vtadapt.workflows.runs.tables import compare_runs, comparison_table, run_table
    from vtadapt.workflows.terminal.tables import show_result

    folder = run_dir or RUNS
    if sum((remove, compare, remove_task is not None)) > 1:
        raise UsageError("--remove, --remove-task and --compare exclude each other")
    if yes and not remove and remove_task is None:
        raise UsageError("--yes goes with --remove and --remove-task")
    if remove_task is not None and len(names or []) != 1:
        raise UsageError(
            "--remove-task wants one run by its name, such as: vtadapt runs rooms-0001 --remove-task depth"
        )
    if remove and not names:
        raise UsageError("--remove wants the runs by their names, such as: vtadapt runs rooms-0001 --remove")
    paths = chosen_runs(names, folder) if names else list_runs(folder)
    if remove_task is not None:
        _remove_task(paths[0], remove_task, yes, json_)
        return
    found = [describe_run(path) for path in paths]
    if len({run["name"] for run in found}) < len(found):  # of several folders
        found = [{**run, "name": run["run"]} for run in found]
    if remove:
        _remove(found, yes, json_)
    elif compare:
        if len(found) < 2:
            raise UsageError(f"--compare wants two runs or more; found {len(found)}")
        result = compare_runs(found)
        show_result(result, json_, lambda: [comparison_table(result, [run["name"] for run in found])])
    else:
        empty = f"no runs in {str(folder)!r}; vtadapt train makes one"
        show_result({"runs": found}, json_, lambda: [run_table(found)] if found else [empty])


def _remove(found: Sequence[dict[str, Any]], yes: bool, json_: bool) -> None:
    """Ask for each run, then remove it; nothing is removed where one of them cannot be."""
    from vtadapt.workflows.runs.remove import need_removable, remove_run
    from vtadapt.workflows.runs.tables import size
    from vtadapt.workflows.terminal.tables import show_result
    from vtadapt.workflows.terminal.text import asked

    for run in found:
        need_removable(Path(run["run"]))
    removed = []
    for run in found:
        what = f"remove {run['run']} ({run['state']}, {size(run['bytes'])})?"
        if yes or asked(what, "--yes removes without asking"):
            remove_run(Path(run["run"]))
            removed.append(run["run"])
    show_result({"removed": removed}, json_, lambda: [f"removed {path}" for path in removed] or ["nothing removed"])


def _remove_task(run: Path, task: str, yes: bool, json_: bool) -> None:
    """Ask, then remove a task that was added."""
    from vtadapt.workflows.runs.remove import need_removable_from, remove_task
    from vtadapt.workflows.terminal.tables import show_result
    from vtadapt.workflows.terminal.text import asked

    need_removable_from(run, task)
    done = yes or asked(f"remove the added task {task} from {run}?", "--yes removes without asking")
    if done:
        remove_task(run, task)
    found = {"run": str(run), "removed_task": task if done else None}
    show_result(found, json_, lambda: [f"removed {task} from {run}" if done else "nothing removed"])
