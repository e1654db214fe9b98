"""Tables of runs: all of them, and some side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vtadapt.digits import amount
from vtadapt.workflows.runs.survey import age, settings_of
from vtadapt.workflows.terminal.tables import Table, stacked

NOT_COMPARED = ("run_dir", "data_dir")


def size(count: int) -> str:
    """Bytes in a unit that people read."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count} {unit}" if unit == "B" else f"{amount(count, 3)} {unit}"
        count = round(count / 1000) if count < 10**5 else count // 1000
    return f"{amount(count, 3)} GB"


def run_table(runs: Sequence[Mapping[str, Any]]) -> Table:
    """One line for each run."""
    table = Table(f"{len(runs)} run{'s' * (len(runs) != 1)}")
    for column in ("run", "state", "data", "steps", "results", "age", "size"):
        table.add_column(column, justify="right" if column in ("steps", "size") else "left", no_wrap=column == "run")
    methods = len({run["method"] for run in runs}) > 1
    for run in runs:
        found = run["metrics"]
        results = [f"{task} {each['metric'].partition('/')[0]} {_value(each['value'])}" for task, each in found.items()]
        results += [_added(each) for each in run.get("added", [])]
        steps = "" if run["steps"] is None else str(run["steps"])
        if run["of"] not in (None, run["steps"]):
            steps += f"/{run['of']}"
        shown = stacked(results or [run["problem"] or ", ".join(run["tasks"])])
        data = stacked([run["data"] or "?", *([run["method"] or "?"] if methods else [])])
        table.add_row(run["name"], run["state"], data, steps, shown, age(run["changed"]), size(run["bytes"]))
    return table


def _added(added: Mapping[str, Any]) -> str:
    return f"added: {added['task']}, {added['steps']} steps on {added['data']}, {size(added['bytes'])}"


def _value(value: Any) -> str:
    return amount(value, 4) if isinstance(value, int | float) else "-"


def compare_runs(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The settings in which runs differ, and their results side by side, each by run.

    Raises:
        ConfigError: a run's settings cannot be read.
    """
    settings = {run["name"]: settings_of(Path(run["run"])) for run in runs}
    keys = dict.fromkeys(key for of_run in settings.values() for key in of_run if key not in NOT_COMPARED)
    differing = {key: {name: of_run.get(key) for name, of_run in settings.items()} for key in keys}
    differing = {key: values for key, values in differing.items() if len({repr(v) for v in values.values()}) > 1}
    measured = dict.fromkeys((task, each["metric"]) for run in runs for task, each in run["metrics"].items())
    results = {
        f"{task} {metric}": {run["name"]: run["metrics"].get(task, {}).get("value") for run in runs}
        for task, metric in measured
    }
    cost = {key: {run["name"]: run.get(key) for run in runs} for key in ("state", "steps", "seconds", "bytes")}
    return {"runs": [run["run"] for run in runs], "settings": differing, "results": results, "cost": cost}


def comparison_table(found: Mapping[str, Any], names: Sequence[str]) -> Table:
    """What :func:`compare_runs` found."""
    table = Table("runs side by side")
    table.add_column("")
    for name in names:
        table.add_column(name, justify="right")
    for part in ("settings", "results", "cost"):
        rows = list(found[part].items())
        for i, (key, values) in enumerate(rows):
            shown = size if key == "bytes" else _shown
            table.add_row(key, *(shown(values[name]) for name in names), end_section=i == len(rows) - 1)
    return table


def _shown(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no"}.get(value, "-") if value is not None else "-"
    if isinstance(value, float):
        return amount(value, 4)
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
