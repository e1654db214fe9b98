"""What a report takes from a run folder alone: facts, commands, settings and affinities."""

from __future__ import annotations

import math
import shlex
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from vtadapt.errors import ConfigError
from vtadapt.tasks import Task
from vtadapt.workflows.affinity.run_affinity import affinity_files
from vtadapt.workflows.run import files
from vtadapt.workflows.run.affinity_file import read_affinity
from vtadapt.workflows.run.folder import DEMO, is_bundled
from vtadapt.workflows.run.load import Loaded
from vtadapt.workflows.run.loaders import default_epochs
from vtadapt.workflows.run.methods import METHODS
from vtadapt.workflows.run.settings import TrainSettings
from vtadapt.workflows.run.settings.fields import KEYS
from vtadapt.workflows.run.settings.parse import value_text
from vtadapt.workflows.run.settings.reading import is_read
from vtadapt.workflows.train.records import BROKEN, broken
from vtadapt.workflows.train.state import LAST

MOMENTS = 120  # of the affinity's history at most
FLAGS = (
    *("tasks", "method", "backbone", "weights", "decoder", "train_blocks", "epochs", "batch_size", "lr", "size"),
    *("seed", "precision", "accelerator", "devices", "num_nodes", "data_dir", "run_dir"),
)  # settings that have a flag of their own; the others go through --set


def tasks_of(tasks: Mapping[str, Task], keys: Mapping[str, set[str]]) -> dict[str, Any]:
    """What the page must know of the tasks; ``keys`` are the metric keys that occur."""
    return {
        name: {
            "kind": task.kind,
            "units": task.units,
            "loss": task.loss,
            "headline": task.headline,
            "classes": list(task.classes),
            "colours": [list(colour) for colour in task.colours],
            "better": {key: _direction(task, key) for key in sorted(keys.get(name, set()) | {task.headline})},
        }
        for name, task in tasks.items()
    }


def _direction(task: Task, key: str) -> bool | None:
    try:
        return task.higher_is_better(key)
    except ConfigError:  # a metric of another version
        return None


def facts_of(loaded: Loaded, totals: Mapping[str, float | None]) -> dict[str, str | None]:
    """What the run is, in words; None where nothing tells.

    Args:
        loaded: the run.
        totals: see :func:`vtadapt.workflows.train.records.totals_of`.
    """
    settings = loaded.settings
    seconds = totals.get("train_seconds")
    steps, epochs = totals.get("steps"), settings.epochs
    height, width = loaded.size
    method = METHODS[settings.method]
    how = f", {settings.decoder or method.decoders[0]} decoder" if method.decoders else ""
    how += f", trains {settings.train_blocks}" if "train_blocks" in method.own else ""
    return {
        "folder": "bundled with vtadapt" if is_bundled(loaded.path) else str(loaded.path),
        "data": settings.data,
        "tasks": ", ".join(f"{name} ({task.kind})" for name, task in loaded.tasks.items()),
        "method": settings.method + how,
        "backbone": f"{settings.encoder}, weights {settings.weights}, sha256 {loaded.model.digest()[:12]}...",
        "steps": None if steps is None else f"{steps:,}" + (f" in {epochs} epochs" if epochs else ""),
        "batch and size": f"{settings.batch_size} images of {height} x {width} per step and process",
        "seed": str(settings.seed),
        "affinity": settings.affinity if method.affinity else None,
        "device": f"accelerator {settings.accelerator}, precision {settings.precision}, "
        f"{settings.devices * settings.num_nodes} process(es)",
        "time": None if seconds is None else _duration(seconds),
    }


def _duration(seconds: float) -> str:
    whole = round(seconds)
    parts = [(whole // 3600, "h"), (whole // 60 % 60, "min"), (whole % 60, "s")]
    shown = " ".join(f"{n} {unit}" for n, unit in parts if n) or "0 s"
    return f"{shown} of training"


def commands_of(loaded: Loaded, asked: TrainSettings, *, adapters: bool) -> list[dict[str, str]]:
    """The command that made the run, then those to go on with.

    Args:
        loaded: the run.
        asked: its settings as they were asked for, see :func:`as_asked`.
        adapters: whether it has adapters.
    """
    bundled = is_bundled(loaded.path)
    here = shlex.quote(DEMO if bundled else str(loaded.path))
    found = [("Training with the same settings", train_command(asked))]
    if not bundled and (loaded.path / LAST).is_file() and not (loaded.path / files.RESULTS).is_file():
        found.append(("Go on where training was interrupted", f"vtadapt train --resume {here}"))
    found += [
        ("Measure it again, with --split or --data on something else", f"vtadapt eval {here}"),
        ("Predict for photographs, folders and videos", f"vtadapt predict photo.jpg --run {here}"),
    ]
    if adapters:
        found += [
            ("Measure and draw the task affinities", f"vtadapt affinity {here} --plot"),
            ("See where the adapted blocks look", f"vtadapt visualize-attention photo.jpg --run {here}"),
        ]
    found += [("Count parameters and operations", f"vtadapt info {here}"), ("This report", f"vtadapt report {here}")]
    return [{"what": what, "command": command} for what, command in found]


def as_asked(settings: TrainSettings, totals: Mapping[str, float | None], epochs: int | None) -> TrainSettings:
    """A run's settings without those that were filled in: what the run chooses by itself where nothing is asked for.

    Args:
        settings: of the run.
        totals: see :func:`vtadapt.workflows.train.records.totals_of`.
        epochs: begun in training, also the one that ``steps`` cut short; None where nothing tells.
    """
    method = METHODS[settings.method]
    own = {"backbone": method.encoder, "decoder": next(iter(method.decoders), None)}
    asked = settings.model_copy(update={key: None for key, value in own.items() if getattr(settings, key) == value})
    steps, begun = totals.get("steps"), epochs if settings.steps else settings.epochs
    if steps and begun:
        batches = math.ceil(steps / begun)  # of an epoch, or as many as give the same number of epochs
        if default_epochs(settings, batches) == settings.epochs:
            asked = asked.model_copy(update={"epochs": None})
    return asked


def train_command(settings: TrainSettings) -> str:
    """The ``vtadapt train`` line that gives these settings; defaults are left out, and what the run does not read."""
    words = ["vtadapt", "train", settings.data]
    plain = settings.model_dump(mode="json")
    for entry in settings_of(settings, settings):
        key, value = entry["key"], plain[entry["key"]]
        if not entry["changed"] or not is_read(key, settings):
            continue
        if key not in FLAGS or (key == "tasks" and any("," in name for name in value)):
            words += ["--set", f"{key}={value_text(value)}"]
        else:
            joined = {"tasks": ",", "size": "x"}.get(key, "")
            text = joined.join(map(str, value)) if isinstance(value, list) else str(value)
            words += [f"--{key.replace('_', '-')}", text]
    return shlex.join(words)


def settings_of(settings: TrainSettings, asked: TrainSettings) -> list[dict[str, Any]]:
    """All settings with their defaults, as text, and whether another value was asked for."""
    plain = settings.model_dump(mode="json")
    rows = []
    for key in KEYS:
        field = type(settings).model_fields[key]
        rows.append(
            {
                "key": key,
                "value": value_text(plain[key]),
                "default": "" if field.is_required() else value_text(_plain(settings.default(key))),
                "changed": asked.changed(key),
                "what": field.description or "",
            }
        )
    return rows


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else list(value) if isinstance(value, tuple) else value


def affinities_of(
    run: Path, more: Path, tasks: Sequence[str], added: Collection[str] = ()
) -> tuple[list[dict[str, Any]], list[str]]:
    """The matrices that training learned and that ``vtadapt affinity`` measured, and what is missing.

    Args:
        run: folder of the run.
        more: folder that ``vtadapt affinity`` writes ``affinity/MEASURE`` into.
        tasks: of the run.
        added: those of them that training did not know.
    """
    found, missing = [], []
    trained = [name for name in tasks if name not in added]
    learned = run / files.AFFINITY
    for path in affinity_files(run, more):
        try:
            wanted = trained if path == learned else tasks
            found.append(_affinity(read_affinity(path, wanted), learned=path == learned))
        except BROKEN as error:
            missing.append(broken(str(path.relative_to(path.parents[2 if path != learned else 0])), error))
    return found, missing


def no_affinity(loaded: Loaded) -> str:
    """Why a run has no matrix, in one sentence."""
    if not loaded.model.has_affinity:
        return f"No affinity: a run of method {loaded.settings.method} has no adapters to compare."
    if len(loaded.tasks) < 2:
        return "No affinity: the run has one task."
    return "No affinity was learned in training; vtadapt affinity --plot measures it."


def _affinity(content: Mapping[str, Any], *, learned: bool) -> dict[str, Any]:
    names = [str(name) for name in content["tasks"]]
    about = f"{content['data']} {content['split']}, {content['batches']} batches"
    if learned and "step" in content:
        fixed = content.get("conditioning", "troa")
        use = "in use" if fixed == "troa" else f"for the weights of the losses (A was fixed to {fixed})"
        about += f", the matrix {use} at step {content['step']}"
    if content.get("split_half") is not None:
        about += f"; two halves of the batches correlate {content['split_half']:.2f} off the diagonal"
    entry: dict[str, Any] = {
        "title": "Learned in training (troa)" if learned else f"Measured afterwards ({content['measure']})",
        "about": about + ".",
        "tasks": names,
        "matrix": _square(content["matrix"], len(names)),
    }
    entry |= {key: _square(content[key], len(names)) for key in ("mean", "error", "marked") if key in content}
    history = content.get("history") or []
    if learned and history:
        every = math.ceil(len(history) / MOMENTS)
        shown = history[::every] + ([history[-1]] if (len(history) - 1) % every else [])
        if not all(math.isfinite(record["step"]) for record in shown):
            raise ValueError("its history has a step that is not finite")
        entry["history"] = {
            "step": [record["step"] for record in shown],
            "matrix": [_square(record["matrix"], len(names)) for record in shown],
        }
    return entry


def _square(matrix: Any, size: int) -> list[list[Any]]:
    if len(matrix) != size or any(len(row) != size for row in matrix):
        raise ValueError(f"found a matrix of {len(matrix)} rows, wanted {size} x {size}")
    return [list(row) for row in matrix]
