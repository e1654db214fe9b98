"""What a report takes from a run folder alone: facts, commands, settings, metrics, curves and affinities."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from vtadapt.errors import ConfigError
from vtadapt.tasks import Task
from vtadapt.workflows import runs
from vtadapt.workflows.affinity_file import read_affinity
from vtadapt.workflows.affinity_measure import LEARNED
from vtadapt.workflows.session import Loaded
from vtadapt.workflows.settings import TrainSettings

POINTS = 300  # of a curve at most; longer ones are averaged
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


def facts_of(loaded: Loaded, results: Mapping[str, Any] | None) -> dict[str, str | None]:
    """What the run is, in words; None where nothing tells."""
    settings = loaded.settings
    found = results or {}
    seconds = found.get("train_seconds")
    steps, epochs = found.get("steps"), settings.epochs
    height, width = loaded.size
    adapters = "" if settings.method != "adapters" else f", {settings.decoder} decoder, trains {settings.train_blocks}"
    return {
        "folder": str(loaded.path),
        "data": settings.data,
        "tasks": ", ".join(f"{name} ({task.kind})" for name, task in loaded.tasks.items()),
        "method": settings.method + adapters,
        "backbone": f"{settings.backbone}, weights {settings.weights}, sha256 {loaded.model.backbone.digest()[:12]}...",
        "steps": None if steps is None else f"{steps:,}" + (f" in {epochs} epochs" if epochs else ""),
        "batch and size": f"{settings.batch_size} images of {height} x {width} per step and process",
        "seed": str(settings.seed),
        "affinity": settings.affinity if settings.method == "adapters" else None,
        "device": f"accelerator {settings.accelerator}, precision {settings.precision}, "
        f"{settings.devices * settings.num_nodes} process(es)",
        "time": None if seconds is None else _duration(float(seconds)),
    }


def _duration(seconds: float) -> str:
    whole = round(seconds)
    parts = [(whole // 3600, "h"), (whole // 60 % 60, "min"), (whole % 60, "s")]
    shown = " ".join(f"{n} {unit}" for n, unit in parts if n) or "0 s"
    return f"{shown} of training (since the last resume, if there was one)"


def commands_of(run: str, settings: TrainSettings, *, adapters: bool) -> list[dict[str, str]]:
    """The command that made the run, then those to go on with.

    Args:
        run: what to type for the run.
        settings: of the run.
        adapters: whether it has adapters.
    """
    here = shlex.quote(run)
    found = [
        ("Training with the same settings", train_command(settings)),
        ("Go on where training was interrupted", f"vtadapt train --resume {here}"),
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


def train_command(settings: TrainSettings) -> str:
    """The ``vtadapt train`` line that gives these settings; defaults are left out."""
    words = ["vtadapt", "train", settings.data]
    plain = settings.model_dump(mode="json")
    for entry in settings_of(settings):
        key, value = entry["key"], plain[entry["key"]]
        if not entry["changed"]:
            continue
        if key not in FLAGS:
            words += ["--set", f"{key}={_yaml(value)}"]
        else:
            joined = {"tasks": ",", "size": "x"}.get(key, "")
            text = joined.join(map(str, value)) if isinstance(value, list) else str(value)
            words += [f"--{key.replace('_', '-')}", text]
    return shlex.join(words)


def _yaml(value: Any) -> str:
    text: str = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10**6)
    return text.removesuffix("\n").removesuffix("\n...")


def settings_of(settings: TrainSettings) -> list[dict[str, Any]]:
    """All settings with their defaults, as text, and whether they differ."""
    plain = settings.model_dump(mode="json")
    rows = []
    for key, field in type(settings).model_fields.items():
        default = None if field.is_required() else field.get_default(call_default_factory=True)
        rows.append(
            {
                "key": key,
                "value": _yaml(plain[key]),
                "default": "" if field.is_required() else _yaml(_plain(default)),
                "changed": not field.is_required() and getattr(settings, key) != default,
                "what": field.description or "",
            }
        )
    return rows


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else list(value) if isinstance(value, tuple) else value


def measured_of(run: Path) -> list[dict[str, Any]]:
    """The metrics that stand in the folder: those at the end of training, then those of ``vtadapt eval``."""
    found: list[dict[str, Any]] = []
    for path in [run / runs.RESULTS, *sorted(run.glob("eval-*.json"))]:
        if not path.is_file():
            continue
        content = runs.read_json(path)
        if isinstance(content.get("metrics"), dict):
            entry: dict[str, Any] = {"source": path.name, "split": "val"}
            found.append(entry | {k: content[k] for k in ("split", "metrics", "counts", "images") if k in content})
    return found


def read_records(path: Path) -> list[dict[str, Any]]:
    """The records of ``metrics.jsonl``; a line that a killed run left half-written is passed over."""
    if not path.is_file():
        return []
    found = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict) and isinstance(record.get("step"), int | float):
            found.append(record)
    return found


def curves_of(records: Sequence[Mapping[str, Any]], val_images: int | None) -> dict[str, Any]:
    """Curves over steps: losses and learning rate of training, metrics of the validations.

    A step that stands there twice (a run that was resumed) counts once, as it was recorded last.
    """
    loss: dict[str, dict[float, float]] = {}
    rate: dict[float, float] = {}
    metrics: dict[str, dict[str, dict[str, dict[float, float]]]] = {}
    for record in records:
        step = record["step"]
        for name, value in record.get("loss", {}).items():
            loss.setdefault(name, {})[step] = value
        if isinstance(record.get("lr"), int | float):
            rate[step] = record["lr"]
        for data, by_task in record.get("metrics", {}).items():
            for name, values in by_task.items():
                for key, value in values.items():
                    metrics.setdefault(name, {}).setdefault(key, {}).setdefault(data, {})[step] = value
    longest = max((len(points) for points in loss.values()), default=0)
    size = math.ceil(longest / POINTS) or 1
    limit = "all images" if val_images is None else f"at most {val_images} images of each set, evenly spaced"
    return {
        "loss": {name: _binned(points, size) for name, points in loss.items()},
        "lr": _binned(rate, size),
        "binned": size,
        "metrics": {
            name: {key: {data: _binned(points, 1) for data, points in by.items()} for key, by in keys.items()}
            for name, keys in metrics.items()
        },
        "about": f"After epochs, on {limit}; the numbers above are of the whole split.",
    }


def _binned(points: Mapping[float, float], size: int) -> list[list[float]]:
    """Means of ``size`` points each, in the order of their steps; what is not a number is left out."""
    rising = sorted((step, v) for step, v in points.items() if isinstance(v, int | float) and math.isfinite(v))
    chunks = [rising[i : i + size] for i in range(0, len(rising), size)]
    return [[sum(s for s, _ in c) / len(c), sum(v for _, v in c) / len(c)] for c in chunks]


def affinities_of(run: Path, more: Path, tasks: Sequence[str]) -> tuple[list[dict[str, Any]], list[str]]:
    """The matrices that training learned and that ``vtadapt affinity`` measured, and what is missing.

    Args:
        run: folder of the run.
        more: folder that ``vtadapt affinity`` writes ``affinity/MEASURE`` into.
        tasks: of the run.
    """
    found, missing = [], []
    learned = run / runs.AFFINITY
    measured = sorted((more / "affinity").glob(f"*/{runs.AFFINITY}"))
    measured = [path for path in measured if path.parent.name != LEARNED]  # a copy of what stands in the run's folder
    paths = [*([learned] if learned.is_file() else []), *measured]
    for path in paths:
        try:
            found.append(_affinity(read_affinity(path, tasks), learned=path == learned))
        except (ConfigError, KeyError, TypeError, ValueError, IndexError) as error:
            reason = " ".join(str(error).split())
            missing.append(f"{path.relative_to(path.parents[2 if path != learned else 0])} cannot be shown: {reason}.")
    return found, missing


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
        entry["history"] = {
            "step": [record["step"] for record in shown],
            "matrix": [_square(record["matrix"], len(names)) for record in shown],
        }
    return entry


def _square(matrix: Any, size: int) -> list[list[Any]]:
    if len(matrix) != size or any(len(row) != size for row in matrix):
        raise ValueError(f"found a matrix of {len(matrix)} rows, wanted {size} x {size}")
    return [list(row) for row in matrix]
