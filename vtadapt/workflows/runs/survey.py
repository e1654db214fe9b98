"""The runs in a folder: what each was trained on, how far it is, how good, how old and how large."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vtadapt.errors import ConfigError, VtadaptError, near_matches
from vtadapt.strict_yaml import StrictYamlError, read_yaml
from vtadapt.tasks import Task
from vtadapt.workflows.run import files
from vtadapt.workflows.run.added import Added, read_added
from vtadapt.workflows.run.folder import is_bundled, refuse_trained

TRAINING, FINISHED, INTERRUPTED, BROKEN = "training", "finished", "interrupted", "broken"
"""States of a run: a process is at it; done; cut off (``train --resume`` goes on); its files cannot be read."""


def list_runs(folder: Path) -> list[Path]:
    """The runs in a folder, the newest last; folders of something else are no runs."""
    if not folder.is_dir():
        return []
    found = [path for path in folder.iterdir() if path.is_dir() and is_run(path)]
    return sorted(found, key=lambda path: (_changed(path), path.name))


def is_run(path: Path) -> bool:
    """Whether a folder is that of a run, finished or not."""
    return (path / files.SETTINGS).is_file() or (path / files.CONFIG).is_file() and (path / files.MODEL).is_file()


def chosen_runs(names: Sequence[str], folder: Path) -> list[Path]:
    """The runs that were named, by path or by name in ``folder``.

    Raises:
        ConfigError: one is no run.
    """
    known = [path.name for path in list_runs(folder)]
    found = []
    for name in names:
        path = next((place for place in (Path(name), folder / name) if place.is_dir() and is_run(place)), None)
        if path is None:
            raise ConfigError(f"no run {name!r} here or in {os.fspath(folder)!r}.{near_matches(name, known)}".rstrip())
        found.append(path)
    return list({path.resolve(): path for path in found}.values())


def describe_run(path: Path) -> dict[str, Any]:
    """What there is to say of a run; one whose files are broken has ``state`` "broken", and ``problem`` says why."""
    about: dict[str, Any] = {"run": str(path), "name": path.name, "problem": None}
    about |= {"state": FINISHED, "data": None, "method": None, "tasks": [], "seed": None, "steps": None, "of": None}
    about |= {"metrics": {}, "added": [], "changed": _changed(path), "bytes": _bytes(path)}
    try:
        _read(path, about)
    except (VtadaptError, StrictYamlError, OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        about |= {"state": BROKEN, "problem": " ".join(str(error).split())[:200]}
    if is_trained(path):  # also one that has results already: it is being lengthened
        about |= {"state": TRAINING, "problem": None}
    return about


def is_trained(path: Path) -> bool:
    """Whether a process is training a run now."""
    if is_bundled(path) or not os.access(path, os.W_OK):
        return False
    try:
        refuse_trained(path)
    except ConfigError:
        return True
    return False


def settings_of(path: Path) -> dict[str, Any]:
    """The settings of a run as its file has them; none of a run that lacks that file.

    Raises:
        ConfigError: the file cannot be read.
    """
    if not (path / files.SETTINGS).is_file():
        return {}
    try:
        found = read_yaml(path / files.SETTINGS)
    except (StrictYamlError, OSError) as error:
        raise ConfigError(f"cannot read {path / files.SETTINGS}: {error}") from error
    if not isinstance(found, dict):
        raise ConfigError(f"{path / files.SETTINGS}: no settings in it")
    return found


def _read(path: Path, about: dict[str, Any]) -> None:
    settings = settings_of(path)
    about |= {key: settings.get(key) for key in ("data", "method", "seed")}
    about["of"] = settings.get("steps")
    about["tasks"] = list(settings.get("tasks") or [])
    about["steps"] = files.last_step(path / files.METRICS)
    if (path / files.CONFIG).is_file():
        config = files.read_json(path / files.CONFIG)
        about["tasks"] = list(config["tasks"])
        about |= {"data": config.get("data", about["data"]), "method": config.get("method", about["method"])}
    if (path / files.RESULTS).is_file():
        results = files.read_json(path / files.RESULTS)
        about |= {"seconds": results.get("train_seconds"), "metrics": headlines(path, results)}
        if files.step_beyond_results(path, results) is not None:
            about["state"] = INTERRUPTED
        else:
            about |= {"steps": results.get("steps"), "of": results.get("steps")}
    if not ((path / files.MODEL).is_file() and (path / files.CONFIG).is_file()):
        about["state"] = INTERRUPTED
    about["added"] = [_added(each) for each in read_added(path).values()]
    about["tasks"] += [each["task"] for each in about["added"]]
    about["metrics"] |= {
        each["task"] if each["data"] == about["data"] else f"{each['data']}/{each['task']}": {
            "metric": each["metric"],
            "value": each["value"],
        }
        for each in about["added"]
        if each["metric"] is not None
    }


def _added(added: Added) -> dict[str, Any]:
    """What there is to say of a task that was added: its headline metric is that of the data it learned from."""
    task, told = added.task, added.about
    values = [by_task.get(task.name, {}) for by_task in told["metrics"].values()]
    value = next((each[task.headline] for each in values if task.headline in each), None)
    found = {"task": task.name, "data": told.get("data"), "steps": told.get("steps"), "before": added.before}
    return found | {
        "metric": None if value is None else task.headline,
        "value": value,
        "bytes": added.path.stat().st_size,
        "file": str(added.path),
    }


def headlines(path: Path, results: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The metric of each task that is named first for its kind: "DATA/TASK" or "TASK" -> its key and value."""
    config = files.read_json(path / files.CONFIG)
    tasks = {name: Task.from_dict(spec) for name, spec in config["tasks"].items()}
    found: dict[str, dict[str, Any]] = {}
    by_data = results.get("metrics", {})
    for data, of_tasks in by_data.items():
        for name, metrics in of_tasks.items():
            if name in tasks and tasks[name].headline in metrics:
                key = name if len(by_data) == 1 else f"{data}/{name}"
                found[key] = {"metric": tasks[name].headline, "value": metrics[tasks[name].headline]}
    return found


def _changed(path: Path) -> float:
    """When a file of a run changed last, in seconds since 1970."""
    newest = 0.0
    for name in (files.RESULTS, files.MODEL, files.METRICS, files.SETTINGS, files.CONFIG):
        try:
            newest = max(newest, (path / name).stat().st_mtime)
        except OSError:
            continue
    return newest


def _bytes(path: Path) -> int:
    """Of all files of a run; links count for themselves."""
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            try:
                total += os.lstat(os.path.join(folder, name)).st_size
            except OSError:
                continue
    return total


def age(seconds: float, now: float | None = None) -> str:
    """How long ago something was, in one unit."""
    past = max(0.0, (time.time() if now is None else now) - seconds)
    for unit, length in (("day", 86400.0), ("hour", 3600.0), ("minute", 60.0)):
        if past >= length:
            count = int(past // length)
            return f"{count} {unit}{'s' * (count != 1)}"
    return f"{int(past)} s"
