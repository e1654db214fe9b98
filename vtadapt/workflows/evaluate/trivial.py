"""What trivial predictors reach on a split: the floor that stands beside every metric."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any, NamedTuple

from vtadapt.data.pack.manifest import open_manifest
from vtadapt.tasks import Task
from vtadapt.tasks.trivial.base import Trivial
from vtadapt.workflows.evaluate.floor import not_beaten
from vtadapt.workflows.run.loaders import build_eval, open_reader
from vtadapt.workflows.run.settings import TrainSettings

Values = dict[str, float]
Predictors = dict[str, dict[str, Values]]
"""Task -> predictor -> metric key -> value."""

_LATELY: dict[str, Predictors] = {}  # of this process: what trains and then evaluates asks twice


class Asked(NamedTuple):
    """What is measured on a data set: its tasks, and per task the new id of each stored class."""

    tasks: Mapping[str, Task]
    label_maps: Mapping[str, Sequence[int]] | None = None


def trivial_metrics(
    settings: TrainSettings, asked: Mapping[str, Asked], *, split: str = "val", limit: int | None = None
) -> dict[str, Any]:
    """Measure the trivial predictors that the kinds of the tasks name, taught on the training split of each data set.

    Args:
        settings: where the packs are, and the batch size.
        asked: data set -> its tasks.
        split: that is measured on.
        limit: at most so many of its images, evenly spaced.

    Returns:
        "predictors": data set -> task -> predictor -> metric key -> value (the mean over its draws); "metrics": data
        set -> task -> metric key -> the best of them, the floor; "of": data set -> task -> metric key -> whose that is.
        A predictor that finds no label to learn from is not there.
    """
    floors: dict[str, Any] = {"predictors": {}, "metrics": {}, "of": {}}
    for name, (tasks, maps) in asked.items():
        found = _measured(settings, name, Asked(tasks, maps), split, limit)
        best = {task: _best(tasks[task], by_name) for task, by_name in found.items()}
        floors["predictors"][name], floors["of"][name] = found, best
        floors["metrics"][name] = {
            task: {key: found[task][of][key] for key, of in whose.items()} for task, whose in best.items()
        }
    return floors


def with_trivial(
    settings: TrainSettings,
    asked: Mapping[str, Asked],
    metrics: Mapping[str, Mapping[str, Mapping[str, float]]],
    *,
    split: str = "val",
    limit: int | None = None,
) -> dict[str, Any]:
    """Return "trivial": what :func:`trivial_metrics` returns; "not_above_trivial": where ``metrics`` are no better."""
    found = trivial_metrics(settings, asked, split=split, limit=limit)
    below = [
        place
        for data, (tasks, _) in asked.items()
        for place in not_beaten({data: metrics[data]}, {data: found["metrics"][data]}, tasks)
    ]
    return {"trivial": found, "not_above_trivial": below}


def _best(task: Task, by_name: Mapping[str, Values]) -> dict[str, str]:
    """Metric key -> the predictor that is best in it, the first of several."""
    keys = dict.fromkeys(key for values in by_name.values() for key in values)
    return {
        key: max(
            (name for name, values in by_name.items() if key in values),
            key=lambda name: by_name[name][key] * (1 if task.higher_is_better(key) else -1),
        )
        for key in keys
    }


def _measured(settings: TrainSettings, name: str, asked: Asked, split: str, limit: int | None) -> Predictors:
    manifest = open_manifest(settings.data_dir, name)
    what = [manifest, {n: t.to_dict() for n, t in asked.tasks.items()}, asked.label_maps, split, limit]
    key = json.dumps(what, sort_keys=True, default=str)
    if key not in _LATELY:
        if len(_LATELY) >= 16:
            _LATELY.clear()
        _LATELY[key] = _measure(settings, name, asked, split, limit, "train" in manifest.get("splits", {}))
    return {task: {n: dict(values) for n, values in each.items()} for task, each in _LATELY[key].items()}


def _measure(
    settings: TrainSettings, name: str, asked: Asked, split: str, limit: int | None, taught: bool
) -> Predictors:
    own = {task: dict(spec.behaviour.trivials(spec)) for task, spec in asked.tasks.items()}
    if taught:
        _teach(settings, name, asked, own)
    out: Predictors = {}
    for task, predictors in own.items():
        for label, predictor in predictors.items():
            if predictor.ready and (values := _evaluate(settings, name, asked, split, limit, task, predictor)):
                out.setdefault(task, {})[label] = values
    return out


def _teach(settings: TrainSettings, name: str, asked: Asked, own: Mapping[str, Mapping[str, Trivial]]) -> None:
    """Give every predictor as many training images as it learns from."""
    by_count: dict[int, list[tuple[str, Trivial]]] = {}
    for task, predictors in own.items():
        for predictor in predictors.values():
            by_count.setdefault(predictor.learns_from, []).append((task, predictor))
    for count, pupils in by_count.items():
        if not count:
            continue
        tasks = {task: asked.tasks[task] for task, _ in pupils}
        reader = open_reader(settings, name, "train")
        for batch in build_eval(reader, tasks, settings.batch_size, count, asked.label_maps):
            for task, predictor in pupils:
                predictor.add(batch["image"], batch["targets"][task])


def _evaluate(
    settings: TrainSettings, name: str, asked: Asked, split: str, limit: int | None, task: str, predictor: Trivial
) -> Values:
    """Metrics of a predictor, the mean over its draws; nothing where no image has a label."""
    spec = asked.tasks[task]
    counts = [count for count in (limit, predictor.measured_on) if count is not None]
    meters = [spec.meter() for _ in range(predictor.draws)]
    reader = open_reader(settings, name, split)
    loader = build_eval(reader, {task: spec}, settings.batch_size, min(counts, default=None), asked.label_maps)
    for batch in loader:
        for draw, meter in enumerate(meters):
            meter.update(predictor.predict(batch["image"], draw), batch["targets"][task])
    each = [meter.compute() for meter in meters]
    return {key: mean(values[key] for values in each) for key in each[0]}
