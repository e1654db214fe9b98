"""``vtadapt eval``: metrics of a run on a split, and the panel of its predictions beside the truth."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import nn

from vtadapt.atomic import need_writable, write_json
from vtadapt.data.pack.pack import PackReader
from vtadapt.errors import DataError
from vtadapt.tasks import Task
from vtadapt.workflows.evaluate.exported import write_confusions, write_measured
from vtadapt.workflows.evaluate.other_data import View, tell_classes, view_of, with_absent
from vtadapt.workflows.evaluate.pictures import draw_panel
from vtadapt.workflows.evaluate.trivial import Asked, with_trivial
from vtadapt.workflows.run.data.data_sets import find_recipe
from vtadapt.workflows.run.data.packs import packs_of
from vtadapt.workflows.run.data.same_packs import tell_changed
from vtadapt.workflows.run.devices import open_fabric
from vtadapt.workflows.run.folder import output_folder
from vtadapt.workflows.run.load import Loaded, load_run
from vtadapt.workflows.run.loaders import build_eval, open_reader
from vtadapt.workflows.run.settings import TrainSettings
from vtadapt.workflows.sizing.finite import need_finite
from vtadapt.workflows.sizing.network import SizedNetwork
from vtadapt.workflows.sizing.size import Sizing, units_of
from vtadapt.workflows.terminal.text import say

if TYPE_CHECKING:
    from lightning_fabric import Fabric  # takes more than a second to import

Metrics = dict[str, dict[str, float]]


class Evaluation(NamedTuple):
    """What was measured, and on how much.

    Attributes:
        metrics: task -> metric key -> value.
        counts: task -> {"pixels", "images"} with a label.
        thresholds: task -> the threshold of its headline metric, where it has one.
        confusions: task with classes -> pixels (K, K), truth down and prediction across.
    """

    metrics: Metrics
    counts: dict[str, dict[str, int]]
    thresholds: dict[str, float]
    confusions: dict[str, torch.Tensor] = {}  # noqa: RUF012 - of a tuple, which cannot change


def evaluate(
    model: nn.Module, loader: Iterable[Mapping[str, Any]], tasks: Mapping[str, Task], fabric: Fabric
) -> Evaluation:
    """Measure all tasks that have labels in ``loader``.

    Each rank takes every world_size-th batch; counts are summed over ranks before anything is divided, so the result
    does not depend on their number.

    Raises:
        NotFiniteError: a prediction is NaN or infinite; nothing can be counted then.
    """
    meters = {name: task.meter() for name, task in tasks.items()}
    training = model.training
    model.eval()
    with torch.no_grad():
        for index, batch in enumerate(loader):
            if index % fabric.world_size != fabric.global_rank:
                continue
            with fabric.autocast():
                logits = model(batch["image"].to(fabric.device))
            need_finite({name: logits[name] for name in meters}, ", ".join(batch.get("name", ())[:4]))
            for name, meter in meters.items():
                meter.update(logits[name].float().cpu(), batch["targets"][name])
    model.train(training)
    if fabric.world_size > 1:
        for meter in meters.values():
            meter.load_state({k: fabric.all_reduce(v, reduce_op="sum").cpu() for k, v in meter.state().items()})  # type: ignore[union-attr]
    metrics = {name: values for name, meter in meters.items() if (values := meter.compute())}
    cuts = {name: cut for name in metrics if (cut := meters[name].threshold()) is not None}
    confusions = {name: matrix for name in metrics if (matrix := meters[name].confusion()) is not None}
    return Evaluation(metrics, {name: dict(meters[name].counts()) for name in metrics}, cuts, confusions)


def by_set(results: Mapping[str, Evaluation]) -> dict[str, Any]:
    """What was measured on several data sets: "metrics", "counts" and "thresholds", each by data set."""
    keys = ("metrics", "counts", "thresholds")
    return {key: {name: getattr(one, key) for name, one in results.items()} for key in keys}


def score(results: Mapping[str, Metrics], tasks: Mapping[str, Task]) -> float:
    """One number to choose the best checkpoint by: the mean over data sets and tasks of +-log(headline metric).

    The sign is + where higher is better; the logarithm makes a 10 % change count the same in every task.
    """
    values = []
    for by_task in results.values():
        for name, metrics in by_task.items():
            headline = tasks[name].headline
            if headline in metrics:
                sign = 1 if tasks[name].higher_is_better(headline) else -1
                values.append(sign * math.log(max(metrics[headline], 1e-6)))
    return sum(values) / len(values) if values else 0.0


def summary(results: Mapping[str, Metrics], tasks: Mapping[str, Task]) -> str:
    """Headline metrics in one line."""
    parts = []
    for data, by_task in results.items():
        for name, metrics in by_task.items():
            if tasks[name].headline in metrics:
                prefix = f"{data} " if len(results) > 1 else ""
                parts.append(f"{prefix}{name} {tasks[name].headline} {metrics[tasks[name].headline]:.3f}")
    return "  ".join(parts)


@dataclass(frozen=True)
class EvalOptions:
    """On what a run is evaluated, and how.

    Attributes:
        data: other data sets than the run's own, joined with "+".
        split: of them.
        data_dir: folder of the packs; None for the run's own.
        limit: at most so many images of each, evenly spaced.
        size: that the network works at: "native" (as stored), "auto" or "HxW"; predictions are brought back to the
            stored size, at which they are measured.
        tile: "none", "auto" or the size of tiles, see :class:`vtadapt.workflows.sizing.size.Sizing`.
        accelerator: None for the run's own.
        folder: of the runs, see :func:`vtadapt.workflows.run.folder.output_folder`.
        trivial: also measure the trivial predictors, on the same images at their stored size.
        weights: where those of the run's backbone are, see :func:`vtadapt.workflows.run.load.load_run`.
        tables: also write the metrics as "csv", "latex".
        confusion: also write the confusion matrices of tasks with classes, as CSV and as pictures.
    """

    data: str | None = None
    split: str = "val"
    data_dir: Path | None = None
    limit: int | None = None
    size: str = "native"
    tile: str = "none"
    accelerator: str | None = None
    folder: Path = Path("runs")
    trivial: bool = True
    weights: str | None = None
    tables: tuple[str, ...] = ()
    confusion: bool = False

    def check_size(self) -> None:
        """See that there is such a size, before anything is loaded; errors as :attr:`sizing`."""
        _ = self.sizing

    @property
    def sizing(self) -> Sizing:
        """The working size.

        Raises:
            UsageError: a size or tile that is none.
        """
        return Sizing(self.size, self.tile)

    @property
    def tag(self) -> str:
        """What sets apart the files of a part of the images, or of another working size than the stored one."""
        tag = "" if self.limit is None else f"-{self.limit}images"  # a quick look does not replace the whole
        tag += "" if self.size == "native" else f"-at-{self.size}"
        return tag + ("" if self.tile == "none" else f"-tiles-{self.tile}")


def evaluate_run(run: Path, options: EvalOptions | None = None) -> dict[str, Any]:
    """Evaluate a finished run on a split of the data it was trained on, or of other sets.

    Returns:
        {"run", "split", "images": {data set: number}, "sizes": {data set: [{"size" (stored), "run_size", "tiles"}]},
        "metrics": {data set: {task: {key: value}}}, "counts": {data set: {task: {"pixels", "images"}}}, "thresholds":
        {data set: {task: the best for its headline metric}}, "panels": [paths], "trivial": what
        :func:`vtadapt.workflows.evaluate.trivial.trivial_metrics` returns, and
        "not_above_trivial": ["SET TASK"]}. On data with other classes than the run's, means are over the classes that
        both have, and "classes": {data set: {task: {"label_set", "shared", "only_run", "only_data", "merged",
        "absent"}}} names them and those left out, which stderr tells, too;
        "left_out": {data set: {task: why}} names tasks whose classes have nothing in common.
        Where they are asked for, "files": {"csv": path, "latex": path} and "confusions": {data set: {task: [paths]}}.

    Raises:
        UsageError: a size or tile that is none, or too small for the network.
        DataError: a pack is missing or broken, or has no label of any of the run's tasks.
        ConfigError: the run does not load, a task is of another kind or unit there, or its classes have no map to the
            run's or none in common with them.
    """
    options = options or EvalOptions()
    options.check_size()
    loaded = load_run(run, weights=options.weights)
    out = output_folder(run, options.folder)
    settings = _settings(loaded.settings, options)
    loaded = replace(loaded, settings=loaded.settings.model_copy(update={"data_dir": settings.data_dir}))
    need_writable(out)
    fabric = open_fabric(settings)
    tell_changed(run, settings.data_names, settings.data_dir)
    recipes = [find_recipe(name, settings.data_dir) for name in settings.data_names]
    readers = {recipe.name: open_reader(settings, recipe.name, options.split) for recipe in recipes}
    loaded.model.to(fabric.device)
    results: dict[str, Any] = {"run": str(run), "split": options.split, "images": {}, "sizes": {}}
    results |= {"metrics": {}, "counts": {}, "thresholds": {}, "panels": []}
    asked: dict[str, Asked] = {}
    for recipe in recipes:
        name, view = recipe.name, view_of(loaded, recipe)
        found, panel = _evaluate_on(name, readers[name], view, loaded, options, settings.batch_size, fabric, out)
        for key, value in found.items():
            results.setdefault(key, {})[name] = value
        results["panels"].append(str(panel))
        asked[name] = Asked({task: view.tasks[task] for task in found["metrics"]}, view.label_maps)
    if options.trivial:
        results |= with_trivial(settings, asked, results["metrics"], split=options.split, limit=options.limit)
    other = "" if options.data is None else "-" + "+".join(readers)
    name = f"eval-{options.split}{other}{options.tag}"
    if options.tables:
        tasks = {data: each.tasks for data, each in asked.items()}
        results["files"] = write_measured(out / name, options.tables, results, tasks)
    write_json(out / f"{name}.json", results, checked=True)
    return results


def _evaluate_on(
    name: str,
    reader: PackReader,
    view: View,
    loaded: Loaded,
    options: EvalOptions,
    batch_size: int,
    fabric: Fabric,
    out: Path,
) -> tuple[dict[str, Any], Path]:
    """Measure a run on one data set and draw its panel.

    Returns:
        What the results tell of that data set, by their keys; the path of the panel.
    """
    loader = build_eval(reader, view.tasks, batch_size, options.limit, view.label_maps)
    network = SizedNetwork(view.model, view.tasks, options.sizing, loaded.size, units_of(loaded.model))
    measured = evaluate(network, loader, view.tasks, fabric)
    if not measured.metrics:
        raise DataError(
            f"no image in {reader.path} has a label of {', '.join(loaded.tasks)}, the tasks of {loaded.path}"
        )
    found: dict[str, Any] = {"images": len(loader.dataset)}  # type: ignore[arg-type]
    found["sizes"] = [{"size": list(own), **plan.report} for own, plan in network.plans.items()]
    found |= {key: getattr(measured, key) for key in ("metrics", "counts", "thresholds")}
    found |= _told_of(name, view, measured.metrics)
    panel = out / f"panel-{name}-{options.split}{options.tag}.png"
    words = "; ".join(f"{plan.words(own)}, height x width" for own, plan in network.plans.items())
    footer = f"Run {loaded.path.name} at {words}."
    if options.confusion:
        ending, tasks = f"-{options.split}{options.tag}", view.tasks
        found["confusions"] = write_confusions(out, ending, name, measured.confusions, tasks, footer)
    draw_panel(network, reader, view.tasks, panel, label_maps=view.label_maps, footer=footer)
    return found, panel


def _settings(own: TrainSettings, options: EvalOptions) -> TrainSettings:
    """The run's settings, for the data and the device that are asked for; packs may be named by their paths."""
    data_dir = options.data_dir or own.data_dir
    data, data_dir = (own.data, data_dir) if options.data is None else packs_of(options.data, data_dir)
    accelerator = options.accelerator or own.accelerator
    changes = {"data": data, "data_dir": data_dir, "accelerator": accelerator, "devices": 1, "num_nodes": 1}
    return own.model_copy(update=changes)


def _told_of(name: str, view: View, metrics: Metrics) -> dict[str, Any]:
    """Note and tell which tasks and classes of a data set could not be measured, and which were merged."""
    found: dict[str, Any] = {}
    if view.left_out:
        found["left_out"] = view.left_out
        say(*(f"left out: {why}" for why in view.left_out.values()))
    if view.classes:
        found["classes"] = with_absent(view.classes, metrics)
        say(*tell_classes(name, found["classes"]))
    return found
